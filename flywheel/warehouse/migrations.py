"""The warehouse's tables. Append to `MIGRATIONS`, never edit one: somebody's file already has it."""

MIGRATIONS: tuple[str, ...] = (
    """
    create table source_file (
        sha256 varchar primary key, name varchar not null, format varchar not null,
        lines bigint not null, added bigint not null, updated bigint not null, unchanged bigint not null,
        rejected bigint not null, blank bigint not null, ingested_at timestamp not null);

    create table rejected_line (
        source_sha256 varchar not null, name varchar not null, line bigint not null, reason varchar not null);

    -- "timestamp" is UTC. `group_id` is the unit of resampling: the source document or the session.
    create table trace (
        trace_id varchar primary key, revision integer not null, content_hash varchar not null,
        week varchar not null, "timestamp" timestamp not null, group_id varchar not null,
        user_input varchar not null, response varchar, session_id varchar, user_id varchar, tenant_id varchar,
        environment varchar,
        retrieved_contexts struct(id varchar, "text" varchar, score double, source varchar)[] not null,
        model varchar, prompt_version varchar, latency_ms double, input_tokens bigint, output_tokens bigint,
        cost_usd double, status varchar not null, error varchar, rating tinyint, comment varchar, metadata json);

    create table signal (
        trace_id varchar not null, revision integer not null, week varchar not null,
        is_error boolean not null, is_slow boolean not null, is_empty_retrieval boolean not null,
        is_abstention boolean not null, is_negative_feedback boolean not null, overlap double,
        primary key (trace_id));

    create table score (
        trace_id varchar not null, revision integer not null, week varchar not null, metric varchar not null,
        value double, status varchar not null, reason varchar not null, instrument varchar not null,
        seconds double not null, cost_usd double not null,
        primary key (trace_id, metric));

    -- `unsupported` is the probability that the passages do not support the sentence; offsets are code points.
    create table sentence_score (
        trace_id varchar not null, revision integer not null, week varchar not null, index integer not null,
        start_offset integer not null, end_offset integer not null, unsupported double not null,
        passage_id varchar, reason varchar not null);

    create table triage (
        trace_id varchar primary key, revision integer not null, week varchar not null, is_flagged boolean not null,
        failure_type varchar, severity varchar, reason varchar not null);

    -- One row a mode and week in which it was looked for; the registry is the newest row of each mode.
    create table mode_week (
        week varchar not null, mode_id varchar not null, title varchar not null, terms varchar[] not null,
        state varchar not null, size integer not null, first_week varchar not null, last_week varchar not null,
        centroid float[] not null, exemplars varchar[] not null, borderline varchar, failure_types json not null,
        over_represented json not null, primary key (week, mode_id));

    create table mode_member (
        week varchar not null, trace_id varchar not null, revision integer not null, mode_id varchar,
        membership double not null, x double not null, y double not null, phrase varchar not null,
        primary key (week, trace_id));

    -- The population of a week's draw, frozen with the prediction that stood when it was drawn.
    create table draw_population (
        draw_id varchar not null, week varchar not null, trace_id varchar not null, revision integer not null,
        group_id varchar not null, stratum varchar not null, prediction double, instrument varchar not null,
        position integer, inclusion_probability double, primary key (draw_id, trace_id));

    create table draw (
        draw_id varchar primary key, week varchar not null unique, seed ubigint not null, instrument varchar not null,
        strata json not null);

    create table purposive_task (
        draw_id varchar not null, week varchar not null, trace_id varchar not null, revision integer not null,
        reason varchar not null, primary key (draw_id, trace_id));

    create table gold_label (
        week varchar not null, task_id varchar primary key, trace_id varchar not null, revision integer not null,
        purpose varchar not null, stratum varchar, verdict varchar, failure_type varchar, severity varchar,
        corrected_response varchar, note varchar, spans json not null, annotators varchar[] not null,
        origin varchar not null);

    create table estimate (
        week varchar not null, draw_id varchar not null, estimand varchar not null, value double not null,
        low double not null, high double not null, n integer not null, population integer not null,
        drawn integer not null, deferred integer not null, lowest double not null, highest double not null,
        method varchar not null, note varchar not null, instrument varchar not null,
        primary key (week, estimand));

    -- A detector serves the weeks from `valid_from` on, until a newer one does; null where another took its place.
    create table detector (
        instrument varchar primary key, valid_from varchar, week varchar not null,
        labels integer not null, content json not null);

    create table growth (
        week varchar not null, case_id varchar not null, trace_id varchar not null, role varchar not null,
        primary key (week, case_id));

    create table step (
        week varchar not null, phase integer not null, name varchar not null, fingerprint varchar not null,
        summary json not null, seconds double not null, completed_at timestamp not null,
        primary key (week, phase, name));
    """,
    """
    -- A delivery is one reading of a file; its count is in `unit`s. No keys are declared on what arrives by the
    -- million: their index would have to fit into memory. Whoever adds rows settles which of them stay.
    create table delivery (
        delivery bigint not null, digest varchar not null, name varchar not null, format varchar not null,
        recognised_by varchar not null, unit varchar not null, bytes bigint not null, last_line bigint not null,
        lines bigint not null, added bigint not null, updated bigint not null, unchanged bigint not null,
        rejected bigint not null, blank bigint not null, traces_added bigint not null, traces_updated bigint not null,
        traces_waiting bigint not null, ingested_at timestamp not null);
    insert into delivery
        select row_number() over (order by ingested_at, name), sha256, name, 'native', 'an earlier version', 'line',
               0, lines, lines, added, updated, unchanged, rejected, blank, added, updated, 0, ingested_at
        from source_file;

    create table rejected_record (
        delivery bigint not null, name varchar not null, line bigint not null, reason varchar not null);
    insert into rejected_record
        select d.delivery, r.name, r.line, r.reason
        from rejected_line r join delivery d on d.digest = r.source_sha256 order by d.delivery, r.line;
    drop table rejected_line;
    drop table source_file;

    -- "timestamp" is UTC. `group_id` is the unit of resampling: the source document or the session. `line` is where
    -- the trace stands in its delivery.
    create table arrived_trace (
        trace_id varchar not null, revision integer not null, content_hash varchar not null,
        week varchar not null, "timestamp" timestamp not null, group_id varchar not null,
        user_input varchar not null, response varchar, session_id varchar, user_id varchar, tenant_id varchar,
        environment varchar,
        retrieved_contexts struct(id varchar, "text" varchar, score double, source varchar)[] not null,
        contexts_missing boolean not null,
        model varchar, prompt_version varchar, latency_ms double, input_tokens bigint, output_tokens bigint,
        cost_usd double, status varchar not null, error varchar, rating tinyint, comment varchar, metadata json,
        delivery bigint not null, line bigint not null);
    insert into arrived_trace
        select trace_id, revision, content_hash, week, "timestamp", group_id, user_input, response, session_id, user_id,
               tenant_id, environment, retrieved_contexts, false, model, prompt_version, latency_ms, input_tokens,
               output_tokens, cost_usd, status, error, rating, comment, metadata, 0, row_number() over ()
        from trace;
    drop table trace;
    alter table arrived_trace rename to trace;

    -- The steps of traces that arrive in pieces; `content` is the span in our words, as JSON.
    create table span (
        trace_id varchar not null, span_id varchar not null, part varchar not null, content_hash varchar not null,
        content varchar not null, delivery bigint not null, line bigint not null);

    -- What an export carries of other people's and tools' judgement: never in a rate.
    create table exported_score (
        score_id varchar not null, content_hash varchar not null, trace_id varchar not null, span_id varchar,
        name varchar not null, source varchar not null, value double, label varchar, comment varchar, author varchar,
        created_at timestamp, delivery bigint not null, line bigint not null);

    -- Texts for passages that an export names by id alone.
    create table corpus_passage (passage_id varchar not null, "text" varchar not null);

    alter table signal add column is_injection boolean default false;
    alter table signal add column is_pii_leak boolean default false;
    alter table signal add column is_contexts_missing boolean default false;
    alter table signal add column is_disliked_in_export boolean default false;

    -- Without its key: the index would cost more time and memory than all signals together.
    create table keyless_signal (
        trace_id varchar not null, revision integer not null, week varchar not null,
        is_error boolean not null, is_slow boolean not null, is_empty_retrieval boolean not null,
        is_abstention boolean not null, is_negative_feedback boolean not null, overlap double,
        is_injection boolean not null, is_pii_leak boolean not null, is_contexts_missing boolean not null,
        is_disliked_in_export boolean not null);
    insert into keyless_signal select * from signal;
    drop table signal;
    alter table keyless_signal rename to signal;
    """,
)
