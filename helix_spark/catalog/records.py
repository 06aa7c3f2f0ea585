"""The rows of a catalog, as frozen data. All times are seconds, all sizes are physical bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypedDict

from msgspec import Meta, Struct

from helix_spark.catalog.places.json_text import mapping
from helix_spark.catalog.segments.record_index import Json, RecordKind
from helix_spark.catalog.tables.spark_types import StructType
from helix_spark.identity.parts import Group
from helix_spark.visible_text import LONGEST_NAME

LAYOUT = 2
"""Version of the catalog's layout. A catalog of a newer layout is refused, an older one is read."""

ArtifactKind = Literal["table", "model", "value"]
Event = Literal["published", "evicted", "quarantined", "abandoned"]
"""Abandoned is what was never published, and never will be."""

Proof = Literal["unproven", "pure", "verified", "aged", "chance", "instance"]
"""What is known of whether a result is the same when it is computed again; see `drawing.graph.PROOFS`."""
Status = Literal["running", "done", "failed", "interrupted", "died"]

LARGEST_VALUE = 4 << 20
"""Bytes of a value, as JSON, that are recorded at most: records are read whole and never evicted."""

GREATEST_NUMBER = 10**9
"""Of iterations."""

Signature = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
SignatureOrNone = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*\Z"
Name = Annotated[str, Meta(max_length=LONGEST_NAME, pattern=_ONE_LINE)]
"""Of a workflow or a node; of what has none the empty text."""
Names = Annotated[tuple[Name, ...], Meta(max_length=20_000)]
LONGEST_PLACE = 10_000
Places = Annotated[tuple[Annotated[str, Meta(max_length=LONGEST_PLACE)], ...], Meta(max_length=1_000_000)]
"""Where data is: paths, absolute on a disk, and names of tables. An empty one stands for others that are unknown."""
Prose = Annotated[str, Meta(max_length=1 << 20)]
"""What is for people: reasons, messages, errors, code."""
Note = Annotated[str, Meta(max_length=2_000)]
Moment = Annotated[float, Meta(ge=0.0, le=253_402_300_799.0)]
"""Unix seconds by the writer's clock, to the end of the year 9999; for people, never for a decision."""
Seconds = Annotated[float, Meta(ge=-1e10, le=1e10)]
Cost = Annotated[float, Meta(ge=0.0, le=1e9)]
"""Seconds that plans rest on, thirty years at most."""
Count = Annotated[int, Meta(ge=0, le=1 << 60)]
Iteration = Annotated[int, Meta(ge=0, le=GREATEST_NUMBER)]
Kind = Annotated[str, Meta(max_length=200, pattern=_ONE_LINE)]

_LONG = Meta(max_length=64 << 20)
Facts = Annotated[str, _LONG, Json(dict[str, Any])]
"""A JSON object."""
_Parts = list[tuple[Group, str, str, str | None]]
Parts = Annotated[str, _LONG, Json(_Parts)]


class _Split(TypedDict, total=False):
    data: str
    split: str
    rows: int


class _Metric(TypedDict):
    name: str
    better: str
    primary: bool


class _Feature(TypedDict):
    feature: str
    synthesizer: str


class _Summary(TypedDict, total=False):
    merged: dict[str, str]
    left_out: list[_Feature]
    measured_by: dict[str, str]
    tested: dict[str, _Split]
    doubts: dict[str, str]
    metrics: list[_Metric]
    tables: dict[str, str]
    evaluated: dict[str, float]
    unproven: dict[str, str]
    edit: str


Summary = Annotated[str, _LONG, Json(_Summary)]


class _Observation(TypedDict, total=False):
    drew: bool
    files: dict[str, str]
    listed: dict[str, str]
    told: dict[str, str]
    environment: dict[str, str]
    generators: dict[str, str]


Observed = Annotated[str, Meta(max_length=16 << 20), Json(_Observation)]
LONGEST_BUILDS = 2 << 20
"""Characters of what the functions of a workflow built."""


class _DescribedSince(TypedDict, total=False):
    choices: list[str]
    doubtful: list[str]


class _Described(_DescribedSince):
    parts: _Parts
    drew: bool
    in_turns: bool
    warnings: list[str]
    random: list[str]
    unfollowed: list[str]
    registers: list[str]


class _Node(Struct):
    by_code: str
    asks: bool
    is_column: bool = False
    has_code: bool = False
    columns: list[str] = []
    described: _Described | None = None


class _Builds(TypedDict):
    seen: _Observation
    nodes: dict[str, _Node]


Builds = Annotated[str, Meta(max_length=LONGEST_BUILDS), Json(_Builds)]


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """One stored result, or the end of one (`event`). An attempt is live until there is an end of it; that is final.
    The end of an attempt which was never published has neither workflow, node nor iteration.

    Attributes:
        attempt: names the folder, so that no two writers ever share one.
        kind: table (Delta), model (Spark ML's own writer) or value (JSON, in `value`).
        bytes: physical, logs included; 0 for a value.
        schema, value: a table's Spark schema, or a value, as JSON; not in the record of an end.
        write_seconds: 0 where it cannot be told from computing.
        recompute_seconds: C, an estimate of what it would take to have it again with everything it is made from.
        why: of an eviction or quarantine.
        digest: of its files, see `digest_of_table` and `checked_digest`; None for a value, and in older records.
        insisted, insisted_by: whether the author of `workflow` insists that it is kept; other workflows whose do.
        fixed: whether an author does because computing it again would give another result (`hx.fixed`).
    """

    signature: Signature
    attempt: Id
    kind: ArtifactKind
    event: Event
    workflow: Name
    node: Name
    iteration: Iteration
    at: Moment
    bytes: Count = 0
    rows: Count | None = None
    schema: Annotated[str, _LONG, Json(StructType)] | None = None
    value: Annotated[str, Meta(max_length=LARGEST_VALUE)] | None = None
    write_seconds: Cost = 0.0
    why: Prose = ""
    recompute_seconds: Cost = 0.0
    digest: Signature | None = None
    insisted: bool = False
    fixed: bool = False
    insisted_by: Names = ()

    @property
    def insisting(self) -> frozenset[str]:
        """The workflows whose authors insist that it is kept."""
        return frozenset((self.workflow, *self.insisted_by) if self.insisted else self.insisted_by)

    @property
    def shared(self) -> str:
        """The shared catalog that it is in; empty for one's own."""
        return ""


@dataclass(frozen=True, slots=True)
class SharedArtifact(ArtifactRecord):
    """A stored result in a shared catalog, named as in the settings: it is loaded, and takes no room of one's own."""

    shared: str = ""


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """What is known of a signature, whether or not its result is stored. Appended when a node was computed.

    Attributes:
        declared: the signature as signed from code and parameters alone.
        signature: the signature it stands for: the same, or that of one run alone, whose result may differ each time.
        compute_seconds: measured, given the node's inputs.
        load_seconds, read_seconds: of the last load in a step of its own, and of the last read by itself.
        bytes: physical bytes when stored, else an estimate; None if unknown.
        random, choice: why the result may differ each time, or is one of several right ones; else empty.
        pure: whether all code in it is known to be pure.
        verified, verified_at, verified_in, audit_seconds: whether an audit computed it once more and it came out the
            same, when, in which circumstances (`run.auditor.circumstances`), and its share of what that took.
        content: digest of what the result holds, see `engine.results.agreement`; None where it was not taken.
        observed: what the author's code was seen to do: JSON of `ObservedInputs`; else empty.
        trained: of a fit, the digest of the `FileRecord` that says what it gave (`past.model_card`); else empty.
    """

    declared: Signature
    signature: Signature
    workflow: Name
    node: Name
    kind: Kind
    iteration: Iteration
    compute_seconds: Cost | None = None
    load_seconds: Cost | None = None
    bytes: Count | None = None
    rows: Count | None = None
    random: Prose = ""
    read_seconds: Cost | None = None
    content: Signature | None = None
    verified: bool | None = None
    pure: bool | None = None
    verified_at: Moment | None = None
    verified_in: SignatureOrNone = ""
    audit_seconds: Cost | None = None
    observed: Observed = ""
    trained: SignatureOrNone = ""
    choice: Prose = ""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What happened to one node in one iteration.

    Attributes:
        declared, signature, pure: see `ResultRecord`.
        parts: the signature's parts as JSON, ``[[group, label, digest, shown], ...]``.
        code: the source text of the author's function, for people; empty if there is none.
        seconds: measured or attributed; None if it was not run.
        bytes: of the result as stored, of this version or else of the newest earlier one whose size was measured; None
            if none was.
        stored: whether a stored result was there when the run was planned.
        started: seconds since the iteration began; None if it was not run.
        reads: the places of the data that it reads by itself; None in records from before there was this field.
    """

    run: Id
    workflow: Name
    iteration: Iteration
    name: Name
    kind: Kind
    inputs: Names
    state: Annotated[str, Meta(pattern=r"^(load|compute|prune)\Z")]
    reason: Prose
    declared: Signature
    signature: Signature
    parts: Parts
    code: Prose = ""
    seconds: Seconds | None = None
    predicted_seconds: Seconds | None = None
    bytes: Count | None = None
    rows: Count | None = None
    stored: bool = False
    output: bool = False
    started: Seconds | None = None
    reads: Places | None = None
    pure: bool | None = None


QUESTION_KINDS = frozenset({"answer", "learner", "table", "write"})
"""Kinds of the nodes of a script, which are what it asks Spark. A workflow has others besides a learner."""


@dataclass(frozen=True, slots=True)
class IterationRecord:
    """One run of a workflow. `running` is written when it starts, its end as a second row; see `history`.

    Attributes:
        number: counts from 1 within a workflow.
        status: "died" is never recorded: it is what readers conclude of a running one whose process is gone.
        seconds: time to answer; None while running.
        outputs: JSON object, name to value; tables and models as a short description.
        plan: JSON object, see `recording.plan_summary`: what the plan expected, and, in `merged`, the name under which
            a node is on record that was merged into an equal one.
        versions, writer: JSON objects: of helix_spark, python, pyspark, delta; host, pid, user.
        error: of a failed one, in words; of any, what changed while it was read, so that nothing made of it is kept.
        file: path of the file that declares the workflow; empty if it is no file (a notebook). Its text is the
            `FileRecord` of `file_digest`.
        commit: of the file's git repository; empty where there is none.
        dirty: whether the repository differed from its commit, or did not have the file; None if that is not known.
        start_seconds: what starting Spark took in it; None where that was not needed.
    """

    run: Id
    workflow: Name
    number: Annotated[int, Meta(ge=1, le=GREATEST_NUMBER)]
    status: Status
    started: Moment
    seconds: Seconds | None = None
    message: Prose = ""
    parameters: Facts = "{}"
    outputs: Facts = "{}"
    plan: Summary = "{}"
    versions: Facts = "{}"
    writer: Facts = "{}"
    error: Prose = ""
    file: Annotated[str, Meta(max_length=10_000)] = ""
    file_digest: SignatureOrNone = ""
    commit: Annotated[str, Meta(max_length=64, pattern=r"^[0-9a-f]*\Z")] = ""
    dirty: bool | None = None
    start_seconds: Cost | None = None

    @property
    def user(self) -> str:
        """The user's name; empty where that is not recorded."""
        name = mapping(self.writer).get("user")
        return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True)
class PinRecord:
    """That an iteration is pinned, or is not any more: of the records of one the newest counts."""

    workflow: Name
    iteration: Iteration
    pinned: bool
    at: Moment


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The text of a file that declared a workflow, once for each content.

    Attributes:
        digest: SHA-256 of the text as UTF-8.
        name: of the file, without folders, when this text was first seen.
        text: whole; a file that is too long for a record has none.
    """

    digest: Signature
    name: Note
    text: Prose


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What Spark answered a question of a plain program, or what else was learnt: one of the fields from `answer` on.

    Attributes:
        seconds: that it took Spark.
        answer: see `plans.answer_gate.text_of_answer`.
        left: the identity of what an effect left at its place.
        doubt: why no answer to the question is reused, as an audit found.
        reads: what a Python function was seen to read in workers: JSON of `ObservedInputs`.
        needs_classic: where a program needs a classic session, and why.
        builds: what the functions of a workflow built: JSON of `answers.recorded_calls`.
        digest: SHA-256 of all other fields: a changed bit is seen, and an answer under another question.
    """

    question: Signature
    workflow: Name
    iteration: Iteration
    at: Moment
    seconds: Seconds = 0.0
    answer: Annotated[str, Meta(max_length=2 << 20)] = ""
    left: SignatureOrNone = ""
    doubt: Note = ""
    digest: SignatureOrNone = ""
    reads: Observed = ""
    needs_classic: Note = ""
    builds: Builds = ""

    def content_digest(self) -> str:
        """Return the digest that the record must have. A field that was added later counts where it is not empty."""
        found = hashlib.sha256(b"helix answer 1")
        for field in fields(self):
            later = field.name in ("reads", "needs_classic", "builds") and not getattr(self, field.name)
            if field.name != "digest" and not later:
                value = str(getattr(self, field.name)).encode(errors="surrogatepass")
                found.update(b"%s %d " % (field.name.encode(), len(value)))
                found.update(value)
        return found.hexdigest()


KINDS = (
    RecordKind("files", FileRecord, (("digest",),)),
    RecordKind("iterations", IterationRecord, (("workflow", "number"),)),
    RecordKind("nodes", NodeRecord, (("workflow", "iteration"), ("state",))),
    RecordKind(
        "results", ResultRecord,
        (("signature",), ("declared",), ("workflow", "node", "compute_seconds"), ("workflow", "iteration")),
        sparse_by="signature",
    ),
    RecordKind("answers", AnswerRecord, (("question",),)),
    RecordKind("pins", PinRecord, ()),
    RecordKind("artifacts", ArtifactRecord, (("signature",), ("attempt",), ("workflow", "iteration"))),
)
"""All kinds of records, with the columns by which they are looked up."""
