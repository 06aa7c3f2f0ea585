"""`python -m helix_spark` is `helix`."""

from helix_spark.cli.command_entry import main

if __name__ == "__main__":
    main()
