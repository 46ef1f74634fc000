package erasure

import (
	"context"
	"fmt"
	"time"

	"github.com/feedlake/feedlake/lake"
)

// RetainOptions say what a source keeps.
type RetainOptions struct {
	Source string
	From   time.Time // start of the first day that stays
	RunID  string
	Lake   *lake.Lake
}

// Retain removes a source's days before From out of the tables that hold single
// posts, and its rejects of that time, and returns how many days and rows that
// were; the tables that SQL builds follow. Older snapshots hold them until they
// expire.
func Retain(ctx context.Context, o RetainOptions) (days int, rows int64, err error) {
	for _, table := range []string{lake.SentimentScores().Name, lake.RawPosts().Name, lake.RawRejects().Name} {
		d, n, err := o.dropDays(ctx, table)
		if err != nil {
			return days, rows, err
		}
		days, rows = max(days, d), rows+n
	}
	return days, rows, nil
}

// dropDays removes the partitions of a source's days before From.
func (o RetainOptions) dropDays(ctx context.Context, table string) (days int, rows int64, err error) {
	cur, err := o.Lake.Current(ctx, table)
	if err != nil || cur.ID == 0 {
		return 0, 0, err
	}
	live, err := o.Lake.Files(ctx, table, cur.ID)
	if err != nil {
		return 0, 0, err
	}
	first := o.From.Format(time.DateOnly)
	old := map[lake.Partition]bool{}
	for _, f := range live {
		of, _ := f.Partition.Value("source")
		day, _ := f.Partition.Value("day")
		if of == o.Source && day != "" && day < first {
			old[f.Partition] = true
			rows += f.Rows
		}
	}
	if len(old) == 0 {
		return 0, 0, nil
	}
	c := lake.Commit{
		Table: table, ID: fmt.Sprintf("retain/%s/%s/%d", o.Source, first, cur.ID),
		Summary: map[string]string{lake.SummaryRunID: o.RunID, lake.SummaryErased: "retain " + o.Source},
	}
	for p := range old {
		c.Replace = append(c.Replace, p)
	}
	_, err = o.Lake.CommitOrAsk(ctx, c)
	return len(old), rows, err
}
