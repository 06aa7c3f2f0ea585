"""`python -m helix_spark` is `helix`."""

from helix_spark.cli.entry import main

if __name__ == "__main__":
    main()
