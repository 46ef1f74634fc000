package tensorflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	tf "github.com/galeone/tensorflow/tensorflow/go"
	"github.com/galeone/tensorflow/tensorflow/go/core/framework/graph_go_proto"
	"github.com/galeone/tensorflow/tensorflow/go/core/framework/tensor_shape_go_proto"
	"github.com/galeone/tensorflow/tensorflow/go/core/framework/types_go_proto"
	"github.com/galeone/tensorflow/tensorflow/go/core/framework/variable_go_proto"
	"github.com/galeone/tensorflow/tensorflow/go/core/protobuf/for_core_protos_go_proto"
	"github.com/galeone/tensorflow/tensorflow/go/op"
	"google.golang.org/protobuf/proto"

	"github.com/feedlake/feedlake"
)

// Names inside a SavedModel folder.
const (
	graphFile     = "saved_model.pb"
	variablesFile = "variables/variables"        // prefix of a checkpoint
	extraFile     = "assets.extra/feedlake.json" // what a loader must know beside the graph; TensorFlow leaves the folder alone
	signature     = "serving_default"
	predictMethod = "tensorflow/serving/predict"
	serveTag      = "serve"
)

// saver writes a graph's variables, without the optimiser's, to a checkpoint
// and reads them back.
type saver struct {
	prefix, done  tf.Output
	save, restore *tf.Operation
}

func (b *builder) saver() saver {
	p := b.sub("saver")
	s := saver{prefix: op.PlaceholderWithDefault(p.SubScope("prefix"), op.Const(p.SubScope("default"), "model"), tf.ScalarShape())}
	var saved []*variable
	var names, slices []string
	var reads []tf.Output
	var types []tf.DataType
	for _, v := range b.vars {
		if !v.slot {
			saved = append(saved, v)
			names, slices, reads, types = append(names, v.name), append(slices, ""), append(reads, v.read), append(types, v.dtype)
		}
	}
	nameT, sliceT := op.Const(p.SubScope("names"), names), op.Const(p.SubScope("slices"), slices)
	s.save = op.SaveV2(p, s.prefix, nameT, sliceT, reads)
	values := op.RestoreV2(p, s.prefix, nameT, sliceT, types)
	if b.scope.Err() != nil {
		return s
	}
	s.done = op.Identity(p.SubScope("done").WithControlDependencies(s.save), s.prefix) // Python's loader insists on it
	assigns := make([]*tf.Operation, len(saved))
	for i, v := range saved {
		assigns[i] = op.AssignVariableOp(p.SubScope("assign"), v.handle, values[i])
	}
	s.restore = op.NoOp(p.SubScope("restore").WithControlDependencies(assigns...))
	return s
}

// at runs the saver's save or restore operation on a checkpoint prefix.
func (s *session) at(v saver, do *tf.Operation, prefix string) error {
	_, err := s.run([]feed{{to: v.prefix, value: prefix}}, nil, do)
	return err
}

// port is a named input or output of a signature.
type port struct {
	name string
	to   tf.Output
	dims []int64
}

// export writes a SavedModel of b's graph into dir: checkpoint writes the
// variables first, extra is kept as JSON, and saved_model.pb comes last, by
// rename, because a folder with it counts as complete.
func (b *builder) export(dir string, s saver, in, out []port, extra any, checkpoint func(prefix string) error) error {
	if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(variablesFile)), 0o755); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	if err := checkpoint(filepath.Join(dir, variablesFile)); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	note, err := json.MarshalIndent(extra, "", "  ")
	if err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	if err := writeWhole(filepath.Join(dir, extraFile), note); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	raw, err := b.savedModel(s, in, out)
	if err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	if err := writeWhole(filepath.Join(dir, graphFile), raw); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	return nil
}

// writeWhole makes path appear with all of data or not at all.
func writeWhole(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// savedModel spells the protocol buffer of tensorflow/core/protobuf/saved_model.proto.
func (b *builder) savedModel(s saver, in, out []port) ([]byte, error) {
	g, err := b.scope.Finalize()
	if err != nil {
		return nil, shorten(err)
	}
	var raw bytes.Buffer
	if _, err := g.WriteTo(&raw); err != nil {
		return nil, shorten(err)
	}
	var graph graph_go_proto.GraphDef
	if err := proto.Unmarshal(raw.Bytes(), &graph); err != nil {
		return nil, err
	}
	vars, err := b.variableDefs()
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&for_core_protos_go_proto.SavedModel{
		SavedModelSchemaVersion: 1,
		MetaGraphs: []*for_core_protos_go_proto.MetaGraphDef{{
			MetaInfoDef: &for_core_protos_go_proto.MetaGraphDef_MetaInfoDef{Tags: []string{serveTag}, TensorflowVersion: tf.Version()},
			GraphDef:    &graph,
			SaverDef: &for_core_protos_go_proto.SaverDef{
				FilenameTensorName: tensorName(s.prefix), SaveTensorName: tensorName(s.done), RestoreOpName: s.restore.Name(),
				Version: for_core_protos_go_proto.SaverDef_V2, MaxToKeep: 1,
			},
			CollectionDef: map[string]*for_core_protos_go_proto.CollectionDef{"variables": vars, "trainable_variables": vars},
			SignatureDef: map[string]*for_core_protos_go_proto.SignatureDef{
				signature: {MethodName: predictMethod, Inputs: tensorInfos(in), Outputs: tensorInfos(out)},
			},
		}},
	})
}

func (b *builder) variableDefs() (*for_core_protos_go_proto.CollectionDef, error) {
	list := &for_core_protos_go_proto.CollectionDef_BytesList{}
	for _, v := range b.vars {
		raw, err := proto.Marshal(&variable_go_proto.VariableDef{
			VariableName: tensorName(v.handle), InitializerName: v.init.Name(), InitialValueName: tensorName(v.initial),
			SnapshotName: tensorName(v.read), IsResource: true, Trainable: true,
		})
		if err != nil {
			return nil, err
		}
		list.Value = append(list.Value, raw)
	}
	return &for_core_protos_go_proto.CollectionDef{Kind: &for_core_protos_go_proto.CollectionDef_BytesList_{BytesList: list}}, nil
}

func tensorName(o tf.Output) string { return fmt.Sprintf("%s:%d", o.Op.Name(), o.Index) }

func tensorInfos(ports []port) map[string]*for_core_protos_go_proto.TensorInfo {
	out := map[string]*for_core_protos_go_proto.TensorInfo{}
	for _, p := range ports {
		shape := &tensor_shape_go_proto.TensorShapeProto{}
		for _, d := range p.dims {
			shape.Dim = append(shape.Dim, &tensor_shape_go_proto.TensorShapeProto_Dim{Size: d})
		}
		out[p.name] = &for_core_protos_go_proto.TensorInfo{
			Encoding:    &for_core_protos_go_proto.TensorInfo_Name{Name: tensorName(p.to)},
			Dtype:       types_go_proto.DataType(p.to.DataType()), //nolint:gosec // an enumeration of a few dozen
			TensorShape: shape,
		}
	}
	return out
}

// loaded is a SavedModel in a session.
type loaded struct {
	*session
	ports map[string]tf.Output // the signature's inputs and outputs by name
}

// load opens the SavedModel in dir and reads what export kept in extra. A
// folder without a finished model is feedlake.ErrNotFound, a model that this
// program cannot use feedlake.ErrConfig.
func load(dir string, extra any, names ...string) (*loaded, error) {
	if _, err := os.Stat(filepath.Join(dir, graphFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load model %s: no %s: %w", dir, graphFile, feedlake.ErrNotFound)
	}
	note, err := os.ReadFile(filepath.Join(dir, extraFile))
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w: %w", dir, feedlake.ErrConfig, err)
	}
	if err := json.Unmarshal(note, extra); err != nil {
		return nil, fmt.Errorf("load model %s: %s: %w: %w", dir, extraFile, feedlake.ErrConfig, err)
	}
	opts, err := sessionOptions()
	if err != nil {
		return nil, err
	}
	m, err := tf.LoadSavedModel(dir, []string{serveTag}, opts)
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w: %w", dir, feedlake.ErrConfig, shorten(err))
	}
	l := &loaded{session: &session{graph: m.Graph, s: m.Session}, ports: map[string]tf.Output{}}
	sig := m.Signatures[signature]
	for _, set := range []map[string]tf.TensorInfo{sig.Inputs, sig.Outputs} {
		for name, info := range set {
			if o, ok := output(m.Graph, info.Name); ok {
				l.ports[name] = o
			}
		}
	}
	for _, n := range names {
		if _, ok := l.ports[n]; !ok {
			return nil, errors.Join(fmt.Errorf("load model %s: signature %s lacks %q: %w", dir, signature, n, feedlake.ErrConfig), l.close())
		}
	}
	return l, nil
}

// output finds "operation:index" in a graph.
func output(g *tf.Graph, name string) (tf.Output, bool) {
	opName, index, _ := strings.Cut(name, ":")
	o := g.Operation(opName)
	var i int
	if _, err := fmt.Sscan(index, &i); o == nil || err != nil || i < 0 || i >= o.NumOutputs() {
		return tf.Output{}, false
	}
	return o.Output(i), true
}
