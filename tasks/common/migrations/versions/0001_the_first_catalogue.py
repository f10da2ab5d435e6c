"""The first catalogue"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "environment",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_environment")),
    )
    op.create_table(
        "param_set",
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("stage", "hash", name=op.f("pk_param_set")),
    )
    op.create_table(
        "quarantine",
        sa.Column("byte_sha256", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("byte_sha256", name=op.f("pk_quarantine")),
    )
    op.create_table(
        "subject",
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("species", sa.String(), nullable=False),
        sa.Column("sex", sa.String(), nullable=False),
        sa.Column("age", sa.String(), nullable=False),
        sa.Column("genotype", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("pk_subject")),
    )
    op.create_table(
        "session",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.subject_id"], name=op.f("fk_session_subject_id_subject")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_session")),
        sa.UniqueConstraint("name", name=op.f("uq_session_name")),
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_session_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "process_run",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("artifact_id", sa.String(), nullable=False),
        sa.Column("session_key", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True), nullable=True),
        sa.Column("environment_hash", sa.String(), nullable=False),
        sa.Column("flow_run", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_hash"],
            ["environment.hash"],
            name=op.f("fk_process_run_environment_hash_environment"),
        ),
        sa.ForeignKeyConstraint(
            ["session_key"], ["session.key"], name=op.f("fk_process_run_session_key_session")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_process_run")),
    )
    with op.batch_alter_table("process_run", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_process_run_artifact_id"), ["artifact_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_process_run_state"), ["state"], unique=False)

    op.create_table(
        "artifact",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("param_hash", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("session_key", sa.String(), nullable=True),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_figure", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["process_run.id"], name=op.f("fk_artifact_run_id_process_run")
        ),
        sa.ForeignKeyConstraint(
            ["session_key"], ["session.key"], name=op.f("fk_artifact_session_key_session")
        ),
        sa.ForeignKeyConstraint(
            ["stage", "param_hash"],
            ["param_set.stage", "param_set.hash"],
            name=op.f("fk_artifact_stage_param_set"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
    )
    with op.batch_alter_table("artifact", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_artifact_created"), ["created"], unique=False)
        batch_op.create_index(batch_op.f("ix_artifact_kind"), ["kind"], unique=False)
        batch_op.create_index(batch_op.f("ix_artifact_session_key"), ["session_key"], unique=False)

    op.create_table(
        "artifact_parent",
        sa.Column("child_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parent_id", sa.String(), nullable=False),
        sa.Column("parent_kind", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["child_id"], ["artifact.id"], name=op.f("fk_artifact_parent_child_id_artifact")
        ),
        sa.PrimaryKeyConstraint("child_id", "position", name=op.f("pk_artifact_parent")),
    )
    with op.batch_alter_table("artifact_parent", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_artifact_parent_parent_id"), ["parent_id"], unique=False
        )

    op.create_table(
        "qc_metric",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("artifact_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("recorded", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_qc_metric_artifact_id_artifact")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qc_metric")),
    )
    with op.batch_alter_table("qc_metric", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_qc_metric_artifact_id"), ["artifact_id"], unique=False)

    op.create_table(
        "recording_file",
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("byte_sha256", sa.String(), nullable=False),
        sa.Column("recording_id", sa.String(), nullable=False),
        sa.Column("seen", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["artifact.id"], name=op.f("fk_recording_file_recording_id_artifact")
        ),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_recording_file")),
    )
    with op.batch_alter_table("recording_file", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_recording_file_byte_sha256"), ["byte_sha256"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("recording_file", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_recording_file_byte_sha256"))

    op.drop_table("recording_file")
    with op.batch_alter_table("qc_metric", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_qc_metric_artifact_id"))

    op.drop_table("qc_metric")
    with op.batch_alter_table("artifact_parent", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_artifact_parent_parent_id"))

    op.drop_table("artifact_parent")
    with op.batch_alter_table("artifact", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_artifact_session_key"))
        batch_op.drop_index(batch_op.f("ix_artifact_kind"))
        batch_op.drop_index(batch_op.f("ix_artifact_created"))

    op.drop_table("artifact")
    with op.batch_alter_table("process_run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_process_run_state"))
        batch_op.drop_index(batch_op.f("ix_process_run_artifact_id"))

    op.drop_table("process_run")
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_session_subject_id"))

    op.drop_table("session")
    op.drop_table("subject")
    op.drop_table("quarantine")
    op.drop_table("param_set")
    op.drop_table("environment")
