// Package spark runs transforms on an Apache Spark cluster through Spark
// Connect: the SQL of the models unchanged, over the Iceberg tables of the lake
// at the pinned snapshots. Spark writes Parquet files beside the tables' own;
// the lake commits them.
package spark

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/transforms"
)

// Bounds of the shuffle partitions where Options.Shuffle is 0: one per
// bytesPerShuffle of input. A partition costs some milliseconds however small.
const (
	bytesPerShuffle = 16 << 20 // compressed, as in the files
	leastShuffle    = 4
	mostShuffle     = 2000
)

// Options says which server, and what it shares with this process.
type Options struct {
	// Remote is the server's address, "sc://host:15002", with
	// "/;token=…;use_ssl=true" where the server wants it.
	Remote string
	// Catalog lets Spark read inputs as Iceberg tables at pinned snapshots, and
	// leave out files by its own planning. nil: it reads the files by path.
	Catalog *Catalog
	Storage Storage // where results go; nil: Folder
	Shuffle int     // shuffle partitions of a query; 0: by the bytes of its input
	// Settings are added to the session's; they win.
	Settings map[string]string
	Log      *slog.Logger // required
}

// Engine runs transforms in one session of a Spark Connect server. Queries at
// the same time share it; views are named apart.
type Engine struct {
	client  *client
	options Options
	count   atomic.Int64 // runs so far

	mu      sync.Mutex
	session *session
	closed  chan struct{}
	running sync.WaitGroup
}

var _ transforms.Engine = (*Engine)(nil)

// Open connects to the server and starts a session. A server that cannot be
// reached is an error with a hint, after 30 seconds at most.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Log == nil {
		return nil, errors.New("open spark engine: a logger is required")
	}
	if o.Storage == nil {
		o.Storage = Folder{}
	}
	if o.Catalog != nil {
		if err := o.Catalog.validate(); err != nil {
			return nil, err
		}
	}
	c, err := dial(o.Remote, o.Log)
	if err != nil {
		return nil, err
	}
	e := &Engine{client: c, options: o, closed: make(chan struct{})}
	if e.session, err = c.open(ctx, e.settings()); err != nil {
		return nil, errors.Join(err, c.conn.Close())
	}
	return e, nil
}

// settings are what makes Spark answer as the rules of the models' dialect
// expect, whatever the server's own defaults.
func (e *Engine) settings() map[string]string {
	s := map[string]string{
		"spark.sql.session.timeZone":                  "UTC",
		"spark.sql.ansi.enabled":                      "true",
		"spark.sql.caseSensitive":                     "false",
		"spark.sql.adaptive.enabled":                  "true",
		"spark.sql.parquet.outputTimestampType":       "TIMESTAMP_MICROS",
		"spark.sql.parquet.compression.codec":         "zstd",
		"spark.sql.parquet.datetimeRebaseModeInRead":  "CORRECTED",
		"spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
		"spark.sql.parquet.fieldId.write.enabled":     "false",
		"spark.sql.files.ignoreMissingFiles":          "false",
		"spark.sql.files.ignoreCorruptFiles":          "false",
	}
	if e.options.Catalog != nil {
		maps.Copy(s, e.options.Catalog.settings())
	}
	maps.Copy(s, e.options.Settings)
	return s
}

// errClosed ends the runs of an engine that is closed under them.
var errClosed = errors.New("the engine was closed")

// Close stops what still runs, releases the session and disconnects.
func (e *Engine) Close() error {
	e.mu.Lock()
	close(e.closed)
	e.mu.Unlock()
	e.running.Wait()
	err := e.session.release(context.Background())
	return errors.Join(err, e.client.conn.Close())
}

// begin counts a run in; the context that it returns ends with the engine, too.
func (e *Engine) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
		return nil, nil, errClosed
	default:
	}
	e.running.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-e.closed:
			cancel(errClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); e.running.Done() }, nil
}

// current returns the session, a new one when the server has dropped the last:
// it does so after an hour without a query, and when it restarts.
func (e *Engine) current(ctx context.Context) (*session, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	alive, err := e.session.alive(ctx)
	if isLost(err) { // as of the last try, which may be minutes ago
		if err = e.client.reconnect(ctx); err == nil {
			alive, err = e.session.alive(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	if !alive {
		s, err := e.client.open(ctx, e.settings())
		if err != nil {
			return nil, err
		}
		e.session = s
	}
	return e.session, nil
}

// shuffle fits the number of shuffle partitions to a query's input. Queries at
// the same time share the setting: it changes how fast they are, not what they
// answer.
func (e *Engine) shuffle(ctx context.Context, s *session, q transforms.Query) error {
	n := int64(e.options.Shuffle)
	if n == 0 {
		var bytes int64
		for _, files := range q.Inputs {
			for _, f := range files {
				bytes += f.Bytes
			}
		}
		n = min(max(bytes/bytesPerShuffle, leastShuffle), mostShuffle)
	}
	return s.set(ctx, map[string]string{"spark.sql.shuffle.partitions": strconv.FormatInt(n, 10)})
}

// Run computes q. See transforms.Engine for what it promises.
func (e *Engine) Run(ctx context.Context, q transforms.Query) (out transforms.Output, err error) {
	ctx, end, err := e.begin(ctx)
	if err != nil {
		return out, fmt.Errorf("%s: %w", q.Model.File, err)
	}
	defer end()
	s, err := e.current(ctx)
	if err != nil {
		return out, fmt.Errorf("%s: %w", q.Model.File, err)
	}
	r := &run{
		session: s, q: q, names: newNames(q.Model.Inputs, e.count.Add(1)),
		catalog: e.options.Catalog, storage: e.options.Storage,
	}
	if err := e.shuffle(ctx, s, q); err != nil {
		return out, r.fault(ctx, err)
	}
	defer r.dropViews(ctx)
	if err := r.views(ctx); err != nil {
		return out, r.fault(ctx, err)
	}
	if err := r.columns(ctx); err != nil {
		return out, err
	}
	files, err := r.write(ctx)
	if err != nil {
		return out, err
	}
	out = transforms.Output{Files: files, Columns: r.cols}
	for _, f := range files {
		out.Rows += f.Rows
	}
	return out, nil
}

// Catalog is the lake's Iceberg catalog as Spark reaches it: a SQL database,
// by JDBC.
type Catalog struct {
	Name      string // as the lake calls it: "feedlake"
	URI       string // "jdbc:postgresql://host:5432/db" or "jdbc:sqlite:/path/catalog.db"
	User      string
	Password  string
	Warehouse string // URI of the tables' folder
	S3        *S3    // nil: the warehouse is a folder
}

// S3 is the store of a warehouse.
type S3 struct {
	Endpoint string // URL; "": Amazon's
	Region   string
	Key      string
	Secret   string
	Token    string // of temporary credentials
}

func (c *Catalog) validate() error {
	if c.Name == "" || c.URI == "" || c.Warehouse == "" {
		return fmt.Errorf("open spark engine: a catalog needs name, uri and warehouse: %w", feedlake.ErrConfig)
	}
	return nil
}

// settings configure the catalog for one session. Nothing is cached: another
// process may have committed since.
func (c *Catalog) settings() map[string]string {
	prefix := "spark.sql.catalog." + c.Name
	s := map[string]string{
		prefix:                          "org.apache.iceberg.spark.SparkCatalog",
		prefix + ".type":                "jdbc",
		prefix + ".uri":                 c.URI,
		prefix + ".warehouse":           c.Warehouse,
		prefix + ".jdbc.schema-version": "V1",
		prefix + ".cache-enabled":       "false",
	}
	put := func(key, value string) {
		if value != "" {
			s[prefix+key] = value
		}
	}
	put(".jdbc.user", c.User)
	put(".jdbc.password", c.Password)
	if c.S3 != nil {
		put(".io-impl", "org.apache.iceberg.aws.s3.S3FileIO")
		put(".s3.endpoint", c.S3.Endpoint)
		put(".s3.path-style-access", "true")
		put(".s3.access-key-id", c.S3.Key)
		put(".s3.secret-access-key", c.S3.Secret)
		put(".s3.session-token", c.S3.Token)
		put(".client.region", c.S3.Region)
		c.S3.hadoop(s)
	}
	return s
}

// hadoop adds the settings of Hadoop's S3A, through which Spark writes results.
// The server keeps one connection per bucket: the first session's credentials
// hold until it restarts.
func (s *S3) hadoop(settings map[string]string) {
	for key, value := range map[string]string{
		"fs.s3a.endpoint":          s.Endpoint,
		"fs.s3a.endpoint.region":   s.Region,
		"fs.s3a.access.key":        s.Key,
		"fs.s3a.secret.key":        s.Secret,
		"fs.s3a.session.token":     s.Token,
		"fs.s3a.path.style.access": "true",
		// Rows go to the store in parts as they come, not through a local file first.
		"fs.s3a.fast.upload.buffer":     "bytebuffer",
		"fs.s3a.connection.ssl.enabled": strconv.FormatBool(!strings.HasPrefix(s.Endpoint, "http://")),
	} {
		if value != "" {
			settings[key] = value
		}
	}
}
