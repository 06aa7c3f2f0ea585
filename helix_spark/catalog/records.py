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
"""An abandoned attempt was never published, and never will be."""

Proof = Literal["unproven", "pure", "verified", "aged", "chance", "instance"]
"""Evidence that a result is the same when it is computed again; see `drawing.graph.PROOFS`."""
Status = Literal["running", "done", "failed", "interrupted", "died"]

LARGEST_VALUE = 4 << 20
"""Maximum bytes of a recorded value, as JSON: records are read whole and never evicted."""

GREATEST_NUMBER = 10**9
"""Largest number of an iteration."""

Signature = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
SignatureOrNone = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*\Z"
Name = Annotated[str, Meta(max_length=LONGEST_NAME, pattern=_ONE_LINE)]
"""Name of a workflow or a node; empty if there is none."""
Names = Annotated[tuple[Name, ...], Meta(max_length=20_000)]
LONGEST_PLACE = 10_000
Places = Annotated[tuple[Annotated[str, Meta(max_length=LONGEST_PLACE)], ...], Meta(max_length=1_000_000)]
"""Locations of data: paths, absolute on a disk, and names of tables. An empty text stands for unknown ones."""
Prose = Annotated[str, Meta(max_length=1 << 20)]
"""Text for people: reasons, messages, errors, code."""
Note = Annotated[str, Meta(max_length=2_000)]
Moment = Annotated[float, Meta(ge=0.0, le=253_402_300_799.0)]
"""Unix seconds by the writer's clock, up to the year 9999; shown to people, never used in a decision."""
Seconds = Annotated[float, Meta(ge=-1e10, le=1e10)]
Cost = Annotated[float, Meta(ge=0.0, le=1e9)]
"""Seconds that plans use; at most thirty years."""
Count = Annotated[int, Meta(ge=0, le=1 << 60)]
Iteration = Annotated[int, Meta(ge=0, le=GREATEST_NUMBER)]
Kind = Annotated[str, Meta(max_length=200, pattern=_ONE_LINE)]

_LONG = Meta(max_length=64 << 20)
Facts = Annotated[str, _LONG, Json(dict[str, Any])]
"""A JSON object."""
_Part = tuple[Group, str, str, str | None]
Parts = Annotated[str, _LONG, Json(list[_Part])]


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
"""Maximum characters of the recorded builds of a workflow's functions."""


class DescribedBuild(Struct, omit_defaults=True):
    """The description of a captured function; see `identity.code.Description`."""

    parts: tuple[_Part, ...]
    drew: bool
    in_turns: bool
    warnings: tuple[str, ...]
    random: tuple[str, ...]
    unfollowed: tuple[str, ...]
    registers: frozenset[str]
    choices: tuple[str, ...] = ()
    doubtful: frozenset[str] = frozenset()


class FunctionBuild(Struct, omit_defaults=True):
    """The result of a function's call; `described` is None if it built no plan."""

    by_code: str
    asks: bool
    is_column: bool = False
    has_code: bool = False
    columns: tuple[str, ...] | None = None
    described: DescribedBuild | None = None


class WorkflowBuilds(Struct):
    """The results of the calls of a workflow's functions, by node, and what all of them read."""

    seen: _Observation
    nodes: dict[str, FunctionBuild]


Builds = Annotated[str, Meta(max_length=LONGEST_BUILDS), Json(WorkflowBuilds)]


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """A stored result, or its end (`event`). An attempt is live until its end is recorded; the end is final. That of an
    unpublished attempt has no workflow, node or iteration.

    Attributes:
        attempt: name of the folder; no two writers share one.
        kind: table (Delta), model (Spark ML's own writer) or value (JSON, in `value`).
        bytes: physical bytes, logs included; 0 for a value.
        schema, value: a table's Spark schema, or a value, as JSON; absent from the record of an end.
        write_seconds: 0 if it cannot be separated from computing.
        recompute_seconds: C, an estimate for computing the result again with all that it depends on.
        why: reason of an eviction or quarantine.
        digest: digest of its files, see `digest_of_table` and `checked_digest`; None for a value, and in older records.
        insisted: True if the author of `workflow` pins it.
        insisted_by: other workflows whose authors pin it.
        fixed: True if it is pinned because computing it again would give another result (`hx.fixed`).
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
        """The workflows whose authors pin it."""
        return frozenset((self.workflow, *self.insisted_by) if self.insisted else self.insisted_by)

    @property
    def shared(self) -> str:
        """Name of the shared catalog that holds it; empty for the own catalog."""
        return ""


@dataclass(frozen=True, slots=True)
class SharedArtifact(ArtifactRecord):
    """A stored result in a shared catalog, named as in the settings. It takes no storage of the own catalog."""

    shared: str = ""


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """Facts about a signature, whether or not its result is stored. Appended when a node was computed.

    Attributes:
        declared: signature from code and parameters alone.
        signature: effective signature: `declared`, or that of a single run if the result is nondeterministic.
        compute_seconds: measured, without the node's inputs.
        load_seconds: seconds of the last load in a step of its own.
        read_seconds: seconds of the last separate read.
        bytes: physical bytes when stored, else an estimate; None if unknown.
        random: reason why the result is nondeterministic; else empty.
        choice: reason why the result is one of several right ones; else empty.
        pure: True if all of its code is known to be pure.
        verified: True if an audit computed an equal result.
        verified_at, verified_in: time and circumstances (`run.auditor.circumstances`) of that audit.
        audit_seconds: the node's share of the audit's time.
        content: digest of the result's content, see `engine.results.agreement`; None if it was not computed.
        observed: observed inputs of the author's code: JSON of `ObservedInputs`; else empty.
        trained: digest of the `FileRecord` with a fit's model card (`history.model_card`); else empty.
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
    """A node in one iteration.

    Attributes:
        declared, signature, pure: see `ResultRecord`.
        parts: the signature's parts as JSON, ``[[group, label, digest, shown], ...]``.
        code: source text of the author's function, for people; empty if there is none.
        seconds: measured or attributed; None if the node was not run.
        bytes: bytes of the stored result, or of the newest earlier version that was measured; None if none was.
        stored: True if a stored result existed when the run was planned.
        started: seconds since the iteration began; None if the node was not run.
        reads: locations of the data that the node reads directly; None in older records.
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
"""Kinds of a script's nodes, which are its requests to Spark. Workflows share only the learner."""


@dataclass(frozen=True, slots=True)
class IterationRecord:
    """A run of a workflow. Its start is recorded as `running`, its end as a second row; see `history`.

    Attributes:
        number: counts from 1 within a workflow.
        status: "died" is never recorded: readers infer it for a running iteration whose process is gone.
        seconds: time to answer; None while running.
        outputs: JSON object, name to value; tables and models as a short description.
        plan: JSON object of the plan's summary (`recording.plan_summary`). `merged` maps a node that was merged into
            an equal one to the recorded node.
        versions: JSON object of versions: helix_spark, python, pyspark, delta.
        writer: JSON object of the writer: host, pid, user.
        error: error of a failed iteration; or data that changed while it was read, whose descendants are not kept.
        file: path of the file that declares the workflow; empty for a notebook. Its text is the `FileRecord` of
            `file_digest`.
        commit: commit of the file's git repository; empty if there is none.
        dirty: True if the repository differed from its commit, or did not have the file; None if unknown.
        start_seconds: seconds for starting Spark; None if it was not started.
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
        """The user's name; empty if it is not recorded."""
        name = mapping(self.writer).get("user")
        return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True)
class PinRecord:
    """Pins or unpins an iteration; the newest record of an iteration counts."""

    workflow: Name
    iteration: Iteration
    pinned: bool
    at: Moment


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The text of a file that declared a workflow, once for each content.

    Attributes:
        digest: SHA-256 of the text as UTF-8.
        name: name of the file, without folders, when this text was first read.
        text: whole text; a file that is too long has no record.
    """

    digest: Signature
    name: Note
    text: Prose


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """Spark's answer to a request of a plain program, or another fact: one of the fields from `answer` on is filled.

    Attributes:
        seconds: Spark's time for the answer.
        answer: see `plans.answer_gate.text_of_answer`.
        left: identity of the data that an effect wrote to its location.
        doubt: an audit's reason not to reuse answers to the question.
        reads: inputs that workers observed of a Python function: JSON of `ObservedInputs`.
        needs_classic: line and reason for which a program needs a classic session.
        builds: builds of a workflow's functions: JSON of `answers.recorded_calls`.
        digest: SHA-256 of all other fields. It detects a changed bit, and an answer under another question.
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
        """Return the digest that the record must have. Fields that were added later count only if filled."""
        digest = hashlib.sha256(b"helix answer 1")
        for field in fields(self):
            is_unfilled = field.name in ("reads", "needs_classic", "builds") and not getattr(self, field.name)
            if field.name != "digest" and not is_unfilled:
                value = str(getattr(self, field.name)).encode(errors="surrogatepass")
                digest.update(b"%s %d " % (field.name.encode(), len(value)))
                digest.update(value)
        return digest.hexdigest()


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
"""All kinds of records, with their lookup columns."""
