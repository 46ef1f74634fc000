package spark

//go:generate ../../infra/dev/protoc.sh internal/connect/connect.proto

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/feedlake/feedlake"
	"github.com/feedlake/feedlake/transforms/spark/internal/connect"
)

// Bounds of the client's patience. Answers to short calls take milliseconds;
// a first call may wait for the server's warm-up.
const (
	callTimeout   = 30 * time.Second
	closeTimeout  = 10 * time.Second
	reconnectTime = 5 * time.Second
	quietTime     = 60 * time.Second // without a word from a running operation, the server is asked whether it lives
	maxMessage    = 256 << 20
	clientType    = "feedlake"
)

// retries tries short calls again, all of which may be repeated; operation
// takes care of the streams.
const retries = `{"methodConfig": [{
	"name": [
		{"service": "spark.connect.SparkConnectService", "method": "AnalyzePlan"}, {"service": "spark.connect.SparkConnectService", "method": "Config"},
		{"service": "spark.connect.SparkConnectService", "method": "Interrupt"}, {"service": "spark.connect.SparkConnectService", "method": "ReleaseExecute"},
		{"service": "spark.connect.SparkConnectService", "method": "ReleaseSession"}
	],
	"retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}
}]}`

// remote is a parsed connection string.
type remote struct {
	addr  string // host:port
	token string
	user  string
	tls   bool
}

// parseRemote reads "sc://host:port/;token=…;use_ssl=true;user_id=…", the form
// that every Spark Connect client takes. The port is 15002 where it is left out.
func parseRemote(s string) (remote, error) {
	fail := func(why string) (remote, error) {
		return remote{}, feedlake.Hint(fmt.Errorf("spark address: %s: %w", why, feedlake.ErrConfig),
			"write it as sc://host:15002, with ';token=…;use_ssl=true' after a slash where the server wants them")
	}
	head, params, _ := strings.Cut(s, ";")
	u, err := url.Parse(head)
	if err != nil || u.Scheme != "sc" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fail("not of the form sc://host:port") // the text may hold a token: it is not repeated
	}
	r := remote{addr: u.Host, user: "feedlake"}
	if u.Port() == "" {
		r.addr = net.JoinHostPort(u.Hostname(), "15002")
	}
	ssl := ""
	for pair := range strings.SplitSeq(params, ";") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		if value, err = url.PathUnescape(value); err != nil {
			return fail("parameter " + key + " is not escaped well")
		}
		switch key {
		case "token":
			r.token = value
		case "user_id":
			r.user = value
		case "use_ssl":
			ssl = value
		default:
			return fail("parameter " + key + " is not known")
		}
	}
	// A token never travels in the clear, except on this machine.
	r.tls = ssl == "true" || r.token != "" && ssl == "" && !isLoopback(u.Hostname())
	if r.token != "" && !r.tls && !isLoopback(u.Hostname()) {
		return fail("a token needs use_ssl=true")
	}
	return r, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// client speaks Spark Connect to one server. It is safe for concurrent use.
type client struct {
	remote remote
	conn   *grpc.ClientConn
	rpc    connect.SparkConnectServiceClient
	log    *slog.Logger
}

// dial makes a client; it does not wait for the server.
func dial(address string, log *slog.Logger) (*client, error) {
	r, err := parseRemote(address)
	if err != nil {
		return nil, err
	}
	c := &client{remote: r, log: log}
	creds := insecure.NewCredentials()
	if r.tls {
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	c.conn, err = grpc.NewClient(r.addr,
		grpc.WithTransportCredentials(creds), grpc.WithDefaultServiceConfig(retries),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			ctx, cancel := context.WithTimeout(c.authorize(ctx), callTimeout)
			defer cancel()
			return invoke(ctx, method, req, reply, conn, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(c.authorize(ctx), desc, conn, method, opts...)
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to spark at %s: %w: %w", r.addr, feedlake.ErrConfig, err)
	}
	c.rpc = connect.NewSparkConnectServiceClient(c.conn)
	return c, nil
}

func (c *client) authorize(ctx context.Context) context.Context {
	if c.remote.token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.remote.token)
}

// session is one session on the server: its settings, catalogs and temporary
// views are nobody else's.
type session struct {
	*client
	id     string
	server string // the server's own id of it: another one means another session under the same id
}

// reconnect waits a little for a server that was away: it may be back.
func (c *client) reconnect(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, reconnectTime)
	defer cancel()
	c.conn.ResetConnectBackoff()
	for state := c.conn.GetState(); state != connectivity.Ready; state = c.conn.GetState() {
		c.conn.Connect()
		if !c.conn.WaitForStateChange(wait, state) {
			return c.unreachable(ctx, status.Error(codes.Unavailable, "no connection"))
		}
	}
	return nil
}

// open starts a session with the given settings.
func (c *client) open(ctx context.Context, settings map[string]string) (*session, error) {
	s := &session{client: c, id: uuid.NewString()}
	v, err := c.rpc.AnalyzePlan(ctx, &connect.AnalyzePlanRequest{
		SessionId: s.id, UserContext: s.user(), ClientType: new(clientType),
		Analyze: &connect.AnalyzePlanRequest_SparkVersion_{SparkVersion: &connect.AnalyzePlanRequest_SparkVersion{}},
	})
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	s.server = v.GetServerSideSessionId()
	version := v.GetSparkVersion().GetVersion()
	if major, _, _ := strings.Cut(version, "."); len(major) == 1 && major < "4" {
		return nil, feedlake.Hint(fmt.Errorf("spark at %s is version %s: %w", c.remote.addr, version, feedlake.ErrConfig), "feedlake needs Spark 4.0 or newer")
	}
	if err := s.set(ctx, settings); err != nil {
		return nil, errors.Join(err, s.release(ctx))
	}
	c.log.DebugContext(ctx, "spark session opened", "address", c.remote.addr, "version", version, "session", s.id)
	return s, nil
}

func (s *session) user() *connect.UserContext {
	return &connect.UserContext{UserId: s.remote.user, UserName: s.remote.user}
}

// set changes settings of the session.
func (s *session) set(ctx context.Context, settings map[string]string) error {
	pairs := make([]*connect.KeyValue, 0, len(settings))
	for k, v := range settings {
		pairs = append(pairs, &connect.KeyValue{Key: k, Value: new(v)})
	}
	slices.SortFunc(pairs, func(a, b *connect.KeyValue) int { return strings.Compare(a.GetKey(), b.GetKey()) })
	_, err := s.config(ctx, &connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Set{Set: &connect.ConfigRequest_Set{Pairs: pairs}}})
	if err != nil {
		return fmt.Errorf("set up spark session: %w", s.unreachable(ctx, err))
	}
	return nil
}

func (s *session) config(ctx context.Context, op *connect.ConfigRequest_Operation) (*connect.ConfigResponse, error) {
	return s.rpc.Config(ctx, &connect.ConfigRequest{SessionId: s.id, UserContext: s.user(), ClientType: new(clientType), Operation: op})
}

// alive reports whether the server still has this very session. A restarted
// server would make a new one of the same id, without its settings.
func (s *session) alive(ctx context.Context) (bool, error) {
	resp, err := s.config(ctx, &connect.ConfigRequest_Operation{OpType: &connect.ConfigRequest_Operation_Get{
		Get: &connect.ConfigRequest_Get{Keys: []string{"spark.sql.session.timeZone"}},
	}})
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, s.unreachable(ctx, err)
	}
	return resp.GetServerSideSessionId() == s.server, nil
}

// schema asks for the columns of a query without running it.
func (s *session) schema(ctx context.Context, rel *connect.Relation) ([]*connect.DataType_StructField, error) {
	resp, err := s.rpc.AnalyzePlan(ctx, &connect.AnalyzePlanRequest{
		SessionId: s.id, UserContext: s.user(), ClientType: new(clientType),
		Analyze: &connect.AnalyzePlanRequest_Schema_{Schema: &connect.AnalyzePlanRequest_Schema{Plan: plan(rel)}},
	})
	if err != nil {
		return nil, s.answer(ctx, err)
	}
	return resp.GetSchema().GetSchema().GetStruct().GetFields(), nil
}

// interrupt asks the server to stop an operation and reports whether it knew it.
func (s *session) interrupt(ctx context.Context, operation string) (bool, error) {
	resp, err := s.rpc.Interrupt(ctx, &connect.InterruptRequest{
		SessionId: s.id, UserContext: s.user(), ClientType: new(clientType),
		InterruptType: connect.InterruptRequest_INTERRUPT_TYPE_OPERATION_ID,
		Interrupt:     &connect.InterruptRequest_OperationId{OperationId: operation},
	})
	return slices.Contains(resp.GetInterruptedIds(), operation), err
}

// release ends the session: the server stops what runs in it and forgets its
// views, settings and credentials. A server that is gone has done so already.
func (s *session) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_, err := s.rpc.ReleaseSession(ctx, &connect.ReleaseSessionRequest{SessionId: s.id, UserContext: s.user(), ClientType: new(clientType)})
	if err == nil || isGone(err) || isUnavailable(err) {
		return nil
	}
	return fmt.Errorf("release spark session: %w", s.answer(ctx, err))
}

func plan(rel *connect.Relation) *connect.Plan {
	return &connect.Plan{OpType: &connect.Plan_Root{Root: rel}}
}

// text is a query in SQL.
func text(query string) *connect.Relation {
	return &connect.Relation{RelType: &connect.Relation_Sql{Sql: &connect.SQL{Query: query}}}
}
