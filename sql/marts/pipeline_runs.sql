-- model: marts.pipeline_runs
-- about: one row per run of the pipeline: what it did, how fast, and how it ended
-- inputs: ops.steps
-- key: run_id
-- column run_id: the run
-- column job: the job that ran
-- column started_at: start of its first step (UTC)
-- column ended_at: end of its last step (UTC); NULL while none has ended
-- column state: the gravest state of its steps: failed, rejected, cancelled, partial, done
-- column posts: posts landed by its ingest steps
-- column rejects: records that could not be read
-- column seconds: from started_at to ended_at (s)
-- column posts_per_second: posts / seconds; NULL when it took no time
-- column steps: steps recorded
-- column scored: posts scored by its score steps
-- column error: error of its first step that has one
-- check: not_null(run_id, job, started_at, state)
-- check: unique(run_id)
-- check: accepted(state: done, failed, partial, rejected, cancelled)
-- check: range(posts: 0..)

with step as (
  select run_id, job, step, started_at, ended_at, state, rows_out, rejects,
         case when error <> '' then error end as error,
         case state when 'failed' then 5 when 'rejected' then 4 when 'cancelled' then 3 when 'partial' then 2 else 1 end as gravity
  from ops.steps
),
placed as (
  select run_id, job, step, started_at, ended_at, state, rows_out, rejects, error, gravity,
         row_number() over (partition by run_id
           order by case when error is null then 1 else 0 end, started_at, step, error) as place
  from step
),
summed as (
  select run_id, max(job) as job, min(started_at) as started_at, max(ended_at) as ended_at, max(gravity) as gravity,
         coalesce(cast(sum(case when step like 'ingest%' then rows_out end) as bigint), 0) as posts,
         coalesce(cast(sum(rejects) as bigint), 0) as rejects,
         cast(count(*) as bigint) as steps,
         coalesce(cast(sum(case when step like 'score%' then rows_out end) as bigint), 0) as scored,
         max(case when place = 1 then error end) as error
  from placed
  group by run_id
),
timed as (
  select run_id, job, started_at, ended_at, gravity, posts, rejects, steps, scored, error,
         cast(unix_micros(ended_at) - unix_micros(started_at) as double) / 1000000e0 as seconds
  from summed
)
select run_id, job, started_at, ended_at,
       case gravity when 5 then 'failed' when 4 then 'rejected' when 3 then 'cancelled' when 2 then 'partial' else 'done' end as state,
       posts, rejects, seconds,
       cast(posts as double) / nullif(seconds, 0e0) as posts_per_second,
       steps, scored, error
from timed
