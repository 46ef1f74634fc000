package main

import (
	"context"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jackc/pgx/v5"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
	"github.com/feedlake/feedlake/transforms/spark"
)

// Kinds of engines.
const (
	engineDuckDB = "duckdb"
	engineSpark  = "spark"
	engineAuto   = "auto"
)

// aboveMemory is how many times the memory limit a run may read before auto
// takes Spark. DuckDB works query by query and spills, so memory is no wall for
// it; one machine's time is. docs/operations.md tells the measurements.
const aboveMemory = 64

// validateEngine reports the first value of the engine's part that cannot be used.
func (c *config) validateEngine(bad func(hint, format string, args ...any) error) error {
	e := c.Engine
	switch e.Kind {
	case engineDuckDB, engineAuto:
	case engineSpark:
		if e.Remote == "" {
			return bad("remote: ${FEEDLAKE_SPARK}, such as sc://127.0.0.1:15002", "engine.kind spark needs engine.remote")
		}
	default:
		return bad("duckdb, spark or auto", "engine.kind %q", e.Kind)
	}
	if u, err := url.Parse(e.Remote); e.Remote != "" && (err != nil || u.Scheme != "sc" || u.Host == "") {
		return bad("such as sc://127.0.0.1:15002", "engine.remote is no address of Spark Connect")
	}
	if _, err := e.above(); err != nil {
		return bad("such as 50GB", "engine.above %q", e.Above)
	}
	return nil
}

// above is the number of bytes beyond which auto takes Spark.
func (e engineConfig) above() (int64, error) {
	if e.Above != "" {
		return parseSize(e.Above)
	}
	memory := e.Memory
	if memory == "" {
		memory = duckdb.DefaultMemory
	}
	n, err := parseSize(memory)
	if err != nil { // DuckDB knows more spellings, such as 80%
		n, err = parseSize(duckdb.DefaultMemory)
	}
	return aboveMemory * n, err
}

// chooseEngine decides what runs a build, and says why.
func (a *app) chooseEngine(ctx context.Context, o transforms.Options) (kind, why string, err error) {
	e := a.cfg.Engine
	if e.Kind != engineAuto {
		return e.Kind, "as configured", nil
	}
	if e.Remote == "" {
		return engineDuckDB, "no engine.remote is configured", nil
	}
	limit, err := e.above()
	if err != nil {
		return "", "", err
	}
	plan, err := transforms.Plan(ctx, o)
	if err != nil {
		return "", "", err
	}
	kind, relation := engineDuckDB, "not more"
	if plan.Bytes > limit {
		kind, relation = engineSpark, "more"
	}
	return kind, fmt.Sprintf("%s to read in %s, %s than %s",
		humanize.BigBytes(big.NewInt(plan.Bytes)), plural(int64(plan.Partitions), "partition"), relation, humanize.BigBytes(big.NewInt(limit))), nil
}

// openEngine starts an engine.
func (a *app) openEngine(ctx context.Context, kind, tmp string) (transforms.Engine, error) {
	if kind == engineSpark {
		o, err := a.sparkOptions(ctx)
		if err != nil {
			return nil, err
		}
		return spark.Open(ctx, o)
	}
	setup, err := a.readBucket(ctx)
	if err != nil {
		return nil, err
	}
	return duckdb.Open(ctx, duckdb.Options{
		Memory: a.cfg.Engine.Memory, Threads: a.cfg.Engine.Threads, TempDir: tmp, Files: a.lake, Setup: setup,
	})
}

// sparkOptions tells Spark where the lake is: the same catalog, under the same
// name, and the same bucket.
func (a *app) sparkOptions(ctx context.Context) (spark.Options, error) {
	e := a.cfg.Engine
	cat := &spark.Catalog{Name: lake.CatalogName, Warehouse: a.lake.Warehouse(), URI: e.Spark.Catalog}
	if dsn := a.cfg.Lake.Catalog; dsn != "" {
		c, err := pgx.ParseConfig(dsn)
		if err != nil {
			return spark.Options{}, fmt.Errorf("read DSN of the catalog: %w", feedlake.ErrConfig)
		}
		cat.User, cat.Password = c.User, c.Password
		if cat.URI == "" {
			cat.URI = "jdbc:postgresql://" + net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) + "/" + url.PathEscape(c.Database)
		}
	} else if cat.URI == "" {
		cat.URI = "jdbc:sqlite:" + filepath.Join(a.lake.Dir(), "catalog.db")
	}
	var storage spark.Storage = spark.Folder{}
	s, err := a.lake.SignedS3(ctx)
	if err != nil {
		return spark.Options{}, err
	}
	if s != nil {
		storage = sparkBucket{spark.Bucket{Client: a.lake.Objects().Client()}, a.lake}
		endpoint := s.Endpoint
		if e.Spark.Endpoint != "" {
			endpoint = e.Spark.Endpoint
		}
		cat.S3 = &spark.S3{Endpoint: endpoint, Region: s.Region, Key: s.Key, Secret: s.Secret, Token: s.Token}
	}
	return spark.Options{Remote: e.Remote, Catalog: cat, Storage: storage, Log: a.log}, nil
}

// readBucket is what DuckDB needs to read a bucket itself; nothing where files
// come through the cache.
func (a *app) readBucket(ctx context.Context) ([]string, error) {
	ext := a.cfg.Lake.HTTPFS
	if ext == "" || a.lake.S3() == nil {
		return nil, nil
	}
	bucket, err := a.lake.SignedS3(ctx)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(ext, "/.") { // not the name of an installed extension
		ext = a.cfg.path(ext)
	}
	return query.BucketSetup(ext, bucket), nil
}
