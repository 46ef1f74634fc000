package tensorflow

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"unsafe"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	"github.com/galeone/tensorflow/tensorflow/go/core/protobuf/for_core_protos_go_proto"
	"github.com/galeone/tensorflow/tensorflow/go/op"
	tg "github.com/galeone/tfgo"
	"google.golang.org/protobuf/proto"
)

// variable is a resource variable of a graph under construction.
type variable struct {
	name    string
	shape   []int64
	dtype   tf.DataType
	handle  tf.Output
	read    tf.Output
	initial tf.Output
	init    *tf.Operation
	slot    bool // optimiser state: never saved
}

// builder adds named parts to one graph. Errors stay in its scope until finish.
type builder struct {
	scope *op.Scope
	vars  []*variable
}

func newBuilder() *builder { return &builder{scope: tg.NewRoot()} }

// sub returns a scope of its own for one operation: two operations of a type
// in one scope would collide.
func (b *builder) sub(name string) *op.Scope { return b.scope.SubScope(name) }

// number adds a constant.
func (b *builder) number(v any) tf.Output { return tg.Const(b.scope, v) }

// input adds a placeholder. A dimension of -1 is open; no dimension is a scalar.
func (b *builder) input(name string, t tf.DataType, dims ...int64) tf.Output {
	return op.Placeholder(b.sub(name), t, op.PlaceholderShape(tf.MakeShape(dims...)))
}

func (b *builder) variable(name string, t tf.DataType, shape []int64, slot bool, initial tf.Output) *variable {
	s := b.sub(name)
	v := &variable{name: name, shape: shape, dtype: t, slot: slot, initial: initial}
	v.handle = op.VarHandleOp(s, t, tf.MakeShape(shape...), op.VarHandleOpSharedName(name))
	v.init = op.AssignVariableOp(s, v.handle, initial)
	v.read = op.ReadVariableOp(s, v.handle, t)
	b.vars = append(b.vars, v)
	return v
}

// fill is an initial value: every element v, a float32 or a float64.
func (b *builder) fill(shape []int64, v any) tf.Output {
	s := b.sub("fill")
	return op.Fill(s, op.Const(s.SubScope("shape"), shape), op.Const(s.SubScope("value"), v))
}

// uniform is an initial value: uniform in [-limit, limit), fixed by the seed.
func (b *builder) uniform(shape []int64, limit float32, seed, stream int64) tf.Output {
	s := b.sub("uniform")
	u := op.StatelessRandomUniform(s, op.Const(s.SubScope("shape"), shape), op.Const(s.SubScope("seed"), []int64{seed, stream}))
	return op.Mul(s, op.Sub(s, u, op.Const(s.SubScope("half"), float32(0.5))), op.Const(s.SubScope("width"), 2*limit))
}

// finish ends construction and opens a session.
func (b *builder) finish() (*session, error) {
	g, err := b.scope.Finalize()
	if err != nil {
		return nil, fmt.Errorf("build graph: %w", shorten(err))
	}
	opts, err := sessionOptions()
	if err != nil {
		return nil, err
	}
	s, err := tf.NewSession(g, opts)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", shorten(err))
	}
	return &session{graph: g, s: s}, nil
}

// sessionOptions runs every operation in the calling goroutine's thread, one
// thread each, without the graph rewriter: its arithmetic pass would copy the
// whole embedding table at every training step.
func sessionOptions() (*tf.SessionOptions, error) {
	raw, err := proto.Marshal(&for_core_protos_go_proto.ConfigProto{
		IntraOpParallelismThreads: 1,
		InterOpParallelismThreads: -1,
		GraphOptions: &for_core_protos_go_proto.GraphOptions{
			RewriteOptions: &for_core_protos_go_proto.RewriterConfig{DisableMetaOptimizer: true},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode session options: %w", err)
	}
	return &tf.SessionOptions{Config: raw}, nil
}

// session runs a graph. It is safe for concurrent use.
type session struct {
	graph *tf.Graph
	s     *tf.Session
	bytes atomic.Int64 // C memory handed out since the last collection
}

// collectEvery bounds the C memory of dead tensors: only finalizers free it,
// and the Go collector does not see its size.
const collectEvery = 64 << 20

// feed is one input of a run.
type feed struct {
	to    tf.Output
	value any // a flat slice or a scalar
	shape []int64
}

// run feeds, fetches and runs targets once.
func (s *session) run(feeds []feed, fetch []tf.Output, targets ...*tf.Operation) ([]*tf.Tensor, error) {
	in := make(map[tf.Output]*tf.Tensor, len(feeds))
	size := 0
	for _, f := range feeds {
		t, err := tf.NewTensor(f.value)
		if err != nil {
			return nil, fmt.Errorf("make tensor for %s: %w", f.to.Op.Name(), err)
		}
		if f.shape != nil {
			if err := t.Reshape(f.shape); err != nil {
				return nil, fmt.Errorf("shape tensor for %s: %w", f.to.Op.Name(), err)
			}
		}
		size += len(t.TensorData())
		in[f.to] = t
	}
	out, err := s.s.Run(in, fetch, targets)
	if err != nil {
		return nil, fmt.Errorf("run graph: %w", shorten(err))
	}
	for _, t := range out {
		size += len(t.TensorData())
	}
	if s.bytes.Add(int64(size)) > collectEvery {
		s.bytes.Store(0)
		runtime.GC() // frees the tensors of earlier runs
	}
	return out, nil
}

// initialise gives every variable its initial value.
func (s *session) initialise(vars []*variable) error {
	ops := make([]*tf.Operation, len(vars))
	for i, v := range vars {
		ops[i] = v.init
	}
	_, err := s.run(nil, nil, ops...)
	return err
}

func (s *session) close() error {
	if err := s.s.Close(); err != nil {
		return fmt.Errorf("close session: %w", shorten(err))
	}
	return nil
}

// numbers copies a tensor of T out of C memory.
func numbers[T float32 | float64 | int32](t *tf.Tensor) []T {
	data := t.TensorData()
	var zero T
	n := len(data) / int(unsafe.Sizeof(zero))
	if n == 0 {
		return nil
	}
	out := append([]T(nil), unsafe.Slice((*T)(unsafe.Pointer(&data[0])), n)...) //nolint:gosec // the tensor's own memory, aligned by the library
	runtime.KeepAlive(t)
	return out
}

// shorten keeps the first line of a message of the library: the rest is the
// graph's construction stack.
func shorten(err error) error {
	first, _, cut := strings.Cut(err.Error(), "\n")
	if !cut {
		return err
	}
	return errors.New(first)
}
