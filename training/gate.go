package training

import (
	"fmt"

	"github.com/feedlake/feedlake"
)

// Gate decides whether a new version may be put in use. current is the version
// in use, measured on the same examples as next, or nil where there is none. A
// refusal wraps feedlake.ErrRejected.
type Gate func(current *Evaluation, next Evaluation) error

// NewGate asks for examples to judge by, for a macro-recall of at least
// minRecall, and for at most maxDrop less than the version in use has.
func NewGate(minRecall, maxDrop float64) Gate {
	return func(current *Evaluation, next Evaluation) error {
		switch {
		case next.N == 0:
			return fmt.Errorf("gate: no held-out examples to judge by: %w", feedlake.ErrRejected)
		case next.MacroRecall < minRecall:
			return fmt.Errorf("gate: macro-recall %.4f on %d examples, want at least %.4f: %w", next.MacroRecall, next.N, minRecall, feedlake.ErrRejected)
		case current != nil && next.MacroRecall < current.MacroRecall-maxDrop:
			return fmt.Errorf("gate: macro-recall %.4f, the version in use has %.4f on the same %d examples and a new one may have at most %.4f less: %w",
				next.MacroRecall, current.MacroRecall, next.N, maxDrop, feedlake.ErrRejected)
		}
		return nil
	}
}
