package wiring

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
	"github.com/feedlake/feedlake/cmd/feedlake/config"
	"github.com/feedlake/feedlake/lake"
	"github.com/feedlake/feedlake/lake/query"
	"github.com/feedlake/feedlake/transforms"
	"github.com/feedlake/feedlake/transforms/duckdb"
	"github.com/feedlake/feedlake/transforms/spark"
)

// chooseEngine decides what runs a build, and says why.
func (a *App) chooseEngine(ctx context.Context, o transforms.Options) (kind, why string, err error) {
	e := a.Config.Engine
	if e.Kind != config.Auto {
		return e.Kind, "as configured", nil
	}
	if e.Remote == "" {
		return config.DuckDB, "no engine.remote is configured", nil
	}
	limit, err := e.AboveBytes()
	if err != nil {
		return "", "", err
	}
	plan, err := transforms.Plan(ctx, o)
	if err != nil {
		return "", "", err
	}
	kind, relation := config.DuckDB, "not more"
	if plan.Bytes > limit {
		kind, relation = config.SparkConnect, "more"
	}
	return kind, fmt.Sprintf("%s to read in %s, %s than %s",
		humanize.BigBytes(big.NewInt(plan.Bytes)), feedlake.Plural(int64(plan.Partitions), "partition"), relation, humanize.BigBytes(big.NewInt(limit))), nil
}

// OpenEngine starts an engine.
func (a *App) OpenEngine(ctx context.Context, kind, tmp string) (transforms.Engine, error) {
	if kind == config.SparkConnect {
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
		Memory: a.Config.Engine.Memory, Threads: a.threads(), TempDir: tmp, Files: a.Lake, Setup: setup,
	})
}

// sparkOptions tells Spark where the lake is: the same catalog, under the same
// name, and the same bucket.
func (a *App) sparkOptions(ctx context.Context) (spark.Options, error) {
	e := a.Config.Engine
	cat := &spark.Catalog{Name: lake.CatalogName, Warehouse: a.Lake.Warehouse(), URI: e.Spark.Catalog}
	if dsn := a.Config.Lake.Catalog; dsn != "" {
		c, err := pgx.ParseConfig(dsn)
		if err != nil {
			return spark.Options{}, fmt.Errorf("read DSN of the catalog: %w", feedlake.ErrConfig)
		}
		cat.User, cat.Password = c.User, c.Password
		if cat.URI == "" {
			cat.URI = "jdbc:postgresql://" + net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) + "/" + url.PathEscape(c.Database)
		}
	} else if cat.URI == "" {
		cat.URI = "jdbc:sqlite:" + filepath.Join(a.Lake.Dir(), "catalog.db")
	}
	var storage spark.Storage = spark.Folder{}
	s, err := a.Lake.SignedS3(ctx)
	if err != nil {
		return spark.Options{}, err
	}
	if s != nil {
		storage = sparkBucket{spark.Bucket{Client: a.Lake.Objects().Client()}, a.Lake}
		endpoint := s.Endpoint
		if e.Spark.Endpoint != "" {
			endpoint = e.Spark.Endpoint
		}
		cat.S3 = &spark.S3{Endpoint: endpoint, Region: s.Region, Key: s.Key, Secret: s.Secret, Token: s.Token}
	}
	return spark.Options{Remote: e.Remote, Catalog: cat, Storage: storage, Log: a.Log}, nil
}

// readBucket is what DuckDB needs to read a bucket itself; nothing where files
// come through the cache.
func (a *App) readBucket(ctx context.Context) ([]string, error) {
	ext := a.Config.Lake.HTTPFS
	if ext == "" || a.Lake.S3() == nil {
		return nil, nil
	}
	bucket, err := a.Lake.SignedS3(ctx)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(ext, "/.") { // not the name of an installed extension
		ext = a.Config.Path(ext)
	}
	return query.BucketSetup(ext, bucket), nil
}
