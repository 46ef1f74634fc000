-- model: marts.pipeline_runs
-- about: one row per run of the pipeline that has ended: what it did, how fast, and how it ended
-- inputs: ops.steps
-- partition: day
-- key: run_id
-- additive: posts, rejects, seconds, steps, scored
-- column run_id: the run
-- column day: UTC day on which it ended; where nothing tells, on which it began or was recorded
-- column job: the job that ran
-- column started_at: start of the run (UTC); NULL when nothing tells
-- column ended_at: end of the run, of one that was abandoned the moment when its process was last heard of (UTC); NULL when nothing tells
-- column state: done, partial, rejected (a check or a gate said no), cancelled, failed, or abandoned (its process died)
-- column posts: posts landed by its steps of the kinds ingest and backfill
-- column rejects: records that could not be read
-- column seconds: from started_at to ended_at (s)
-- column posts_per_second: posts / seconds; NULL when it took no time
-- column steps: steps recorded
-- column scored: posts scored by its steps of the kind score
-- column error: error of its first step that has one, else of the run
-- check: not_null(run_id, job, state)
-- check: unique(run_id)
-- check: accepted(state: done, partial, rejected, cancelled, failed, abandoned)
-- check: range(posts: 0..)

-- A row of the kind run tells how the run ended. Lakes of older versions have
-- none, nor kinds: there the gravest state of its steps is that of the run, and
-- the name of a step says what it did.
with told as (
  select run_id, day, job, step, started_at, ended_at, state, rows_out, rejects,
         case when error <> '' then error end as error,
         case when kind is not null then kind
              when step like 'ingest%' then 'ingest' when step like 'score%' then 'score' else step end as kind,
         case state when 'done' then 1 when 'partial' then 2 when 'rejected' then 3
                    when 'cancelled' then 4 when 'failed' then 5 when 'abandoned' then 6 end as gravity,
         row_number() over (partition by run_id, step order by ended_at desc nulls last, started_at desc nulls last) as place
  from ops.steps
),
placed as (
  select run_id, day, job, kind, started_at, ended_at, state, rows_out, rejects, error,
         cast(row_number() over (partition by run_id
           order by case when error is null then 1 else 0 end, case when kind = 'run' then 1 else 0 end,
           started_at nulls last, step, error nulls last) as bigint) as first_error,
         cast(row_number() over (partition by run_id
           order by case when kind = 'run' then 0 else 1 end, gravity desc nulls first, step) as bigint) as gravest
  from told
  where place = 1
),
summed as (
  select run_id, max(day) as day, max(job) as job,
         coalesce(max(case when kind = 'run' then started_at end), min(started_at), min(ended_at)) as started_at,
         coalesce(max(case when kind = 'run' then ended_at end), max(ended_at)) as ended_at,
         max(case when gravest = 1 then state end) as state,
         coalesce(cast(sum(case when kind in ('ingest', 'backfill') then rows_out end) as bigint), 0) as posts,
         coalesce(cast(sum(rejects) as bigint), 0) as rejects,
         cast(count(case when kind <> 'run' then 1 end) as bigint) as steps,
         coalesce(cast(sum(case when kind = 'score' then rows_out end) as bigint), 0) as scored,
         max(case when first_error = 1 then error end) as error
  from placed
  group by run_id
),
timed as (
  select run_id, day, job, started_at, ended_at, state, posts, rejects, steps, scored, error,
         cast(unix_micros(ended_at) - unix_micros(started_at) as double) / 1000000e0 as seconds
  from summed
)
select run_id, day, job, started_at, ended_at, state, posts, rejects, seconds,
       cast(posts as double) / nullif(seconds, 0e0) as posts_per_second,
       steps, scored, error
from timed
