package config

import (
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/feedlake/feedlake"
)

// Publish is a place that tables are published to. The keys that are not named
// here are its kind's own.
type Publish struct {
	Name   string // for people; the kind when absent
	Kind   string
	Tables []string // none: every table of the marts
	With   ast.Node // the keys of the kind; nil: none
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (p *Publish) UnmarshalYAML(n ast.Node) error {
	m, ok := n.(*ast.MappingNode)
	if one, single := n.(*ast.MappingValueNode); single {
		m, ok = ast.Mapping(one.GetToken(), false, one), true
	}
	if !ok {
		return fmt.Errorf("publish: want keys and values: %w", feedlake.ErrConfig)
	}
	with := ast.Mapping(m.GetToken(), m.IsFlowStyle)
	for _, v := range m.Values {
		var to any
		switch v.Key.String() {
		case "name":
			to = &p.Name
		case "kind":
			to = &p.Kind
		case "tables":
			to = &p.Tables
		default:
			with.Values = append(with.Values, v)
			continue
		}
		if err := yaml.NodeToValue(v.Value, to, yaml.Strict()); err != nil {
			return err
		}
	}
	if len(with.Values) > 0 {
		p.With = with
	}
	if p.Name == "" {
		p.Name = p.Kind
	}
	return nil
}
