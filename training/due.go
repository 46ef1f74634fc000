package training

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/feedlake/feedlake"
)

// Names of the tables that models learn from, as cards say them.
const (
	labelsTable = "ml.labels"
	hoursTable  = "features.hashtag_hourly"
)

// passed is the verdict of a gate that let a version through.
const passed = "passed"

// Due says what is to do for a model.
type Due struct {
	Train  bool   // a new version is to be trained
	Finish int    // this version passed the gate, but its promotion was cut off; 0: none
	Why    string // nothing is to do, and this is the reason
}

// SentimentDue says what the labels' newest snapshot asks for. It follows from
// the version in use and the audit trail: labels are learnt once a version of
// them is, or was, in use, or was refused by the gate.
// A version in use that this program cannot load is to be replaced.
func (r *Registry) SentimentDue(ctx context.Context, t SentimentTrainer) (Due, error) {
	cur, err := r.lake.Current(ctx, labelsTable)
	if err != nil {
		return Due{}, err
	}
	if cur.ID == 0 {
		return Due{Why: "no labels to learn from"}, nil
	}
	if err := r.refresh(ctx, ModelSentiment); err != nil {
		return Due{}, err
	}
	cards, err := r.Versions(ModelSentiment)
	if err != nil {
		return Due{}, err
	}
	for _, c := range slices.Backward(cards) {
		if c.Data[labelsTable] != cur.ID || !r.loads(ctx, t, c) {
			continue
		}
		decided, err := r.decided(c)
		switch {
		case err != nil:
			return Due{}, err
		case !decided:
			return Due{Finish: c.Version}, nil
		case c.GateVerdict != passed:
			return Due{Why: fmt.Sprintf("no new labels, and version %d of these was refused by the gate", c.Version)}, nil
		}
		return Due{Why: "no new labels"}, nil
	}
	return Due{Train: true}, nil
}

// loads says whether this program can use a version; only ErrConfig says that it
// cannot, and other errors show themselves later.
func (r *Registry) loads(ctx context.Context, t SentimentTrainer, c Card) bool {
	s, err := t.Load(ctx, r.Dir(c.Model, c.Version))
	if err != nil {
		return !errors.Is(err, feedlake.ErrConfig)
	}
	return s.Close() == nil
}

// TrendsDue says whether the count model is missing or older than every.
func (r *Registry) TrendsDue(ctx context.Context, every time.Duration) (Due, error) {
	cur, err := r.lake.Current(ctx, hoursTable)
	if errors.Is(err, feedlake.ErrNotFound) || err == nil && cur.ID == 0 {
		return Due{Why: "no hashtags to learn from"}, nil
	}
	if err != nil {
		return Due{}, err
	}
	if err := r.refresh(ctx, ModelTrends); err != nil {
		return Due{}, err
	}
	cards, err := r.Versions(ModelTrends)
	if err != nil {
		return Due{}, err
	}
	if n := len(cards); n > 0 {
		if decided, err := r.decided(cards[n-1]); err != nil || !decided {
			return Due{Finish: cards[n-1].Version}, err
		}
	}
	champion, err := r.Champion(ModelTrends)
	if errors.Is(err, feedlake.ErrNotFound) {
		return Due{Train: true}, nil
	}
	if err != nil {
		return Due{}, err
	}
	if champion.Data[hoursTable] == cur.ID || r.now().Sub(champion.CreatedAt) < every {
		return Due{Why: "recent enough"}, nil
	}
	return Due{Train: true}, nil
}

// decided says whether it is settled if a version is used: the gate refused it,
// it is in use, or the audit trail names it.
func (r *Registry) decided(c Card) (bool, error) {
	if c.GateVerdict != passed {
		return true, nil
	}
	n, err := r.inUse(c.Model)
	if err != nil || n == c.Version {
		return n == c.Version, err
	}
	changes, err := r.Audit(c.Model)
	return slices.ContainsFunc(changes, func(ch Change) bool { return ch.To == c.Version || ch.Refused == c.Version }), err
}

// FinishSentiment repeats the gate's decision on a version whose promotion was
// cut off, and puts it in use when the gate lets it. A refusal is noted in the
// audit trail; the error then wraps feedlake.ErrRejected.
func FinishSentiment(ctx context.Context, o Options, t SentimentTrainer, gate Gate, version int) (Card, error) {
	card, err := o.Registry.Card(ModelSentiment, version)
	if err != nil {
		return card, err
	}
	d, err := ReadDataset(ctx, o.Lake, o.DB, o.Barred)
	if err != nil {
		return card, fmt.Errorf("finish %s version %d: %w", ModelSentiment, version, err)
	}
	verdict, err := o.judge(ctx, &card, t, d.Held, gate)
	if err != nil {
		return card, fmt.Errorf("finish %s version %d: %w", ModelSentiment, version, err)
	}
	if verdict == nil {
		return card, o.decide(ctx, card, nil)
	}
	cur, err := o.Registry.inUse(ModelSentiment)
	if err == nil {
		err = o.Registry.note(ctx, Change{Model: ModelSentiment, From: cur, To: cur, Refused: version, RunID: o.RunID, Why: verdict.Error()})
	}
	return card, errors.Join(o.decide(ctx, card, verdict), err)
}

// FinishTrends puts a version in use whose promotion was cut off.
func FinishTrends(ctx context.Context, o Options, version int) (Card, error) {
	card, err := o.Registry.Card(ModelTrends, version)
	if err != nil {
		return card, err
	}
	return card, o.decide(ctx, card, nil)
}
