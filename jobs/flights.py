"""Which flights will be late? All 336,776 flights that left New York City in 2013, with weather, planes and airports.

    helix run jobs/flights.py
    helix run jobs/flights.py --set reg=0.1
    helix run jobs/flights.py --set times=10

Four tables are joined before anything is learned, which is where the time goes when there are many rows: `times`
repeats the flights, so that the same workflow can be tried at any scale.

Late is what arrives more than `late` minutes behind schedule; flights that never arrived are left out. Flights of one
day are late together, so all of a day stay on one side of the split. On the test days, a quarter of all, what is known
before departure (the weather as it was then, not a forecast) tells late flights from others with an area under the
curve of 0.72.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

sys.path.append(str(Path(__file__).resolve().parent.parent))  # so that `jobs` is found however this file is started

import helix_spark as hx
from jobs.datasets import flights as data_folder

if TYPE_CHECKING:
    import pandas as pd  # an annotation's text says enough; a run that needs no pandas does not wait for it

FLIGHTS = (
    "year int, month int, day int, dep_time int, sched_dep_time int, dep_delay double, arr_time int, "
    "sched_arr_time int, arr_delay double, carrier string, flight int, tailnum string, origin string, dest string, "
    "air_time double, distance double, hour int, minute int, time_hour timestamp"
)
WEATHER = (
    "origin string, year int, month int, day int, hour int, temp double, dewp double, humid double, wind_dir double, "
    "wind_speed double, wind_gust double, precip double, pressure double, visib double, time_hour timestamp"
)
PLANES = (
    "tailnum string, year int, type string, manufacturer string, model string, engines int, seats int, speed int, "
    "engine string"
)
AIRPORTS = "faa string, name string, lat double, lon double, alt double, tz double, dst string, tzone string"


def flights(path: str = "", times: int = 1, late: int = 15, reg: float = 0.01) -> hx.Workflow:
    """The workflow.

    `path`: the folder of the data, if not the public one; `times`: how often the flights are repeated; `late`: more
    than so many minutes behind schedule is late; `reg`: regularisation.
    """
    wf = hx.Workflow("flights")
    folder = path or str(data_folder())

    for name, schema in [("flights", FLIGHTS), ("weather", WEATHER), ("planes", PLANES), ("airports", AIRPORTS)]:
        wf.source(f"{name}_file", hx.csv(f"{folder}/{name}.csv", schema=schema, header=True, nullValue="NA"))

    @wf.scanner
    def departures(flights_file: DataFrame) -> DataFrame:
        """Flights that arrived, with what was known before they left."""
        known = flights_file.where("arr_delay IS NOT NULL").select(
            "month", "day", "hour", "minute", "carrier", "tailnum", "origin", "dest", "distance", "arr_delay",
        )
        return known.withColumn("copy", F.explode(F.sequence(F.lit(1), F.lit(times))))

    @wf.scanner
    def weather(weather_file: DataFrame) -> DataFrame:
        """One row an airport and hour."""
        return weather_file.groupBy("origin", "month", "day", "hour").agg(
            *(F.avg(name).alias(name) for name in ("temp", "humid", "wind_speed", "precip", "pressure", "visib"))
        )

    @wf.synthesizer
    def situations(
        departures: DataFrame, weather: DataFrame, planes_file: DataFrame, airports_file: DataFrame
    ) -> DataFrame:
        """Each flight with the weather at its hour, its plane, and where it goes."""
        planes = planes_file.select("tailnum", F.col("year").alias("built"), "seats")
        airports = airports_file.select(F.col("faa").alias("dest"), "lat", "lon", "alt")
        joined = departures.join(weather, ["origin", "month", "day", "hour"], "left")
        return joined.join(planes, "tailnum", "left").join(airports, "dest", "left")

    @wf.extractor
    def time_of_day(situations: DataFrame) -> Column:
        return situations.hour + situations.minute / 60

    @wf.extractor
    def rain(situations: DataFrame) -> Column:
        return F.log1p(F.coalesce(situations.precip, F.lit(0.0)) * 100)

    @wf.extractor
    def wind(situations: DataFrame) -> Column:
        return F.coalesce(situations.wind_speed, F.lit(10.0))

    @wf.extractor
    def damp(situations: DataFrame) -> Column:
        return F.coalesce(situations.humid, F.lit(60.0)) / 100

    @wf.extractor
    def haze(situations: DataFrame) -> Column:
        return 10 - F.coalesce(situations.visib, F.lit(10.0))

    @wf.extractor
    def low(situations: DataFrame) -> Column:
        """How far the air pressure is below what it usually is."""
        return 1017 - F.coalesce(situations.pressure, F.lit(1017.0))

    @wf.extractor
    def age(situations: DataFrame) -> Column:
        return 2013 - F.coalesce(situations.built, F.lit(2001))

    @wf.extractor
    def month_name(situations: DataFrame) -> Column:
        return situations.month.cast("string")

    hour_bucket = wf.extractor("hour_bucket", hx.Bucketizer(time_of_day, bins=12, one_hot=True), on=situations)
    miles = wf.extractor("miles", hx.Fields("distance"), on=situations)
    numbers = [time_of_day, rain, wind, damp, haze, low, age, miles]
    columns: dict[str, str | hx.NodeRef] = {
        "carrier": "carrier", "origin": "origin", "dest": "dest", "month": month_name,
    }
    categories = [
        wf.extractor(f"{name}_is", hx.OneHot(column), on=situations) for name, column in columns.items()
    ]
    examples = wf.synthesizer(
        "examples", situations, features=[*numbers, hour_bucket, *categories], label=f"arr_delay > {late}",
        split=hx.HashSplit(test=0.25, seed=1, key=("month", "day")), keep=["carrier"],
    )
    model = wf.learner("model", "pyspark.ml.classification.LogisticRegression", on=examples, regParam=reg, maxIter=30)
    wf.predict("predictions", model, examples)

    @wf.reducer(output=True)
    def auc(predictions: pd.DataFrame) -> float:
        """The chance that a late flight is scored above one that is not (Mann-Whitney)."""
        rank, positive = predictions.probability.str[1].rank(), predictions.label == 1
        n, m = int(positive.sum()), int((~positive).sum())
        return float((rank[positive].sum() - n * (n + 1) / 2) / (n * m))

    @wf.reducer(output=True)
    def worst_carrier(predictions: pd.DataFrame) -> str:
        """Of those with at least 100 test flights a copy of the data, the one with the largest share of late ones."""
        shares = predictions.groupby("carrier").label.agg(["mean", "size"])
        return str(shares[shares["size"] >= 100 * times]["mean"].idxmax())

    return wf


if __name__ == "__main__":
    hx.main(flights)
