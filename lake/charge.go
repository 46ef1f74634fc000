package lake

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/feedlake/feedlake"
)

// chargeName is the note of the catalog that is in charge of a warehouse.
const chargeName = ownFolder + "/catalog.json"

// metaLake is the catalog's own word for itself, to compare with charge.
const metaLake = "lake_id"

// charge says which catalog is in charge of a warehouse: two catalogs over one
// warehouse would each take the other's files for left behind.
type charge struct {
	ID      string    `json:"id"`
	Next    string    `json:"next,omitempty"` // the catalog that an unfinished move goes to
	Catalog string    `json:"catalog"`        // its place, for people
	Since   time.Time `json:"since"`
}

// readCharge reads who is in charge; nil where nobody ever was.
func readCharge(ctx context.Context, n notes) (*charge, error) {
	text, err := n.read(ctx, chargeName)
	if errors.Is(err, feedlake.ErrNotFound) {
		return nil, nil //nolint:nilnil // nobody is in charge
	}
	if err != nil {
		return nil, fmt.Errorf("read whose the warehouse is: %w", err)
	}
	var c charge
	if json.Unmarshal(text, &c) != nil || c.ID == "" {
		return nil, nil //nolint:nilnil // cut off as it was written: the tables decide
	}
	return &c, nil
}

func (l *Lake) writeCharge(ctx context.Context, c charge, over bool) error {
	c.Catalog, c.Since = l.place, l.now().UTC()
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("note whose the warehouse is: %w", err)
	}
	if err := l.store.notes().write(ctx, chargeName, append(text, '\n'), over); err != nil {
		return fmt.Errorf("note whose the warehouse is: %w", err)
	}
	return nil
}

// takeCharge refuses a catalog that is not the one of the warehouse: another
// one, one that was lost and begun anew, one that lacks tables. A new lake's
// catalog is noted in its warehouse.
func (l *Lake) takeCharge(ctx context.Context) error {
	n := l.store.notes()
	c, err := readCharge(ctx, n) // before the catalog's word, which is written first
	if err != nil {
		return err
	}
	id, err := l.meta(ctx, metaLake)
	if err != nil {
		return fmt.Errorf("open catalog: %w", err)
	}
	if c != nil && id != c.ID && (id == "" || id != c.Next) {
		return l.notInCharge(ctx, c)
	}
	if err := l.refuseLoss(ctx); err != nil {
		return err
	}
	switch {
	case c != nil && id == c.ID:
		return nil
	case c != nil: // the move to this catalog was finished, and not noted
		return l.writeCharge(ctx, charge{ID: id}, true)
	case id == "":
		if id, err = l.name(ctx); err != nil {
			return err
		}
	}
	err = l.writeCharge(ctx, charge{ID: id}, false)
	if !errors.Is(err, feedlake.ErrConflict) {
		return err
	}
	if c, err = readCharge(ctx, n); err != nil { // another process was faster: with this catalog, or with another
		return err
	}
	if c != nil && c.ID != id {
		return l.notInCharge(ctx, c)
	}
	if c == nil {
		return l.writeCharge(ctx, charge{ID: id}, true)
	}
	return nil
}

// name gives the catalog a name of its own, once.
func (l *Lake) name(ctx context.Context) (string, error) {
	_, err := l.db.ExecContext(ctx, l.bind("INSERT INTO feedlake_catalog (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"), metaLake, rand.Text())
	if err != nil {
		return "", fmt.Errorf("write catalog: %w", err)
	}
	id, err := l.meta(ctx, metaLake)
	if err == nil && id == "" {
		id = rand.Text()
		err = l.setMeta(ctx, metaLake, id)
	}
	return id, err
}

// notInCharge is the refusal of a catalog that is not the warehouse's.
func (l *Lake) notInCharge(ctx context.Context, c *charge) error {
	e, err := l.entries(ctx, l.db)
	if err != nil {
		return fmt.Errorf("open catalog: %w", err)
	}
	if len(e.tables) == 0 && c.Catalog == l.place {
		return lost("it is empty, but the warehouse %s holds a lake", l.store.root())
	}
	return feedlake.Hint(fmt.Errorf("open catalog: the warehouse %s belongs to the catalog in %s since %s, not to that in %s: %w",
		l.store.root(), c.Catalog, c.Since.Format(time.RFC3339), l.place, feedlake.ErrConfig),
		"point lake.catalog (or lake.dir) of the config there; where that catalog is lost for good, feedlake lake recover --take-over puts this one in its place")
}

// lost is the refusal of a catalog that does not know what the warehouse holds.
func lost(format string, args ...any) error {
	return feedlake.Hint(fmt.Errorf("open catalog: %s: %w", fmt.Sprintf(format, args...), feedlake.ErrConfig), "%s", recoverHint)
}

const recoverHint = "bring the catalog back from a backup, or rebuild it from the warehouse: feedlake lake recover --dry-run tells what that finds; nothing was changed"
