package charter_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/notice/beacon"
	"writ/notice/beacon/beacontest"
)

// unsaid are fields without a sentence of their own, and why.
var unsaid = map[string]string{
	"Name":     "a version has the name of the one before it; the first sentence says it",
	"Number":   "the first sentence says it",
	"Previous": "it is the hash of what the version is compared with",
	"Keys":     "keys of single periods are no change of the law",
}

// full is a charter that has everything a charter can have.
func full(t *testing.T) *charter.Charter {
	c := clone(t, chartertest.New("full", chartertest.WithBar...).Charter)
	passkey(c)
	c.Limits.Tariff = &charter.Tariff{Currency: "EUR", PerOpening: 100, PerCompartment: 10}
	return clone(t, c)
}

// CHR-62: no field of a charter, of any depth, changes without a sentence that is about it.
// A field that is added to a charter is found here by itself.
func TestEveryChangeHasASentence(t *testing.T) {
	base, tried := full(t), 0
	for _, path := range paths(reflect.ValueOf(base).Elem(), nil) {
		if unsaid[reflect.TypeFor[charter.Charter]().Field(path.steps[0]).Name] != "" {
			continue
		}
		c := clone(t, base)
		what := path.change(reflect.ValueOf(c).Elem())
		if c.Hash() == base.Hash() {
			continue
		}
		tried++
		says := charter.Changes(base, c)
		if len(says) < 2 || strings.HasPrefix(says[1], "Nothing else") || strings.HasPrefix(says[1], "Other parts") {
			t.Errorf("%s: %q", what, says)
		}
	}
	if tried < 100 {
		t.Errorf("only %d changes tried", tried)
	}
}

// path is one change: the fields and places on the way, and what happens at the end.
type path struct {
	steps []int
	ends  func(reflect.Value)
	how   string
}

// change makes the change and says where.
func (p path) change(v reflect.Value) string {
	var name strings.Builder
	for _, i := range p.steps {
		for v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() == reflect.Struct {
			fmt.Fprintf(&name, ".%s", v.Type().Field(i).Name)
			v = v.Field(i)
		} else {
			fmt.Fprintf(&name, "[%d]", i)
			v = v.Index(i)
		}
	}
	p.ends(v)
	return strings.TrimPrefix(name.String(), ".") + " " + p.how
}

// paths are all changes of single values below one.
func paths(v reflect.Value, steps []int) (list []path) {
	here := func(how string, ends func(reflect.Value)) {
		list = append(list, path{append([]int{}, steps...), ends, how})
	}
	below := func(i int, v reflect.Value) { list = append(list, paths(v, append(append([]int{}, steps...), i))...) }
	isBytes := (v.Kind() == reflect.Slice || v.Kind() == reflect.Array) && v.Type().Elem().Kind() == reflect.Uint8
	switch {
	case v.Type() == reflect.TypeFor[*beacon.Beacon]():
		b := beacontest.New("another", 0, 60, 2, 2).Beacon()
		here("key", func(v reflect.Value) { v.Interface().(*beacon.Beacon).Key = b.Key })
		here("genesis", func(v reflect.Value) { v.Interface().(*beacon.Beacon).Genesis++ })
		here("period", func(v reflect.Value) { v.Interface().(*beacon.Beacon).Period++ })
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			panic("the charter of this test lacks something")
		}
		if v.Type() != reflect.TypeFor[*charter.Node]() {
			here("away", func(v reflect.Value) { v.SetZero() })
		}
		list = append(list, paths(v.Elem(), steps)...)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.Type() != reflect.TypeFor[*charter.WebAuthnKey]() || !f.IsNil() {
				below(i, f)
			}
		}
	case isBytes:
		if v.Len() > 0 {
			here("flipped", func(v reflect.Value) { v.Index(0).SetUint(v.Index(0).Uint() ^ 1) })
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			below(i, v.Index(i))
		}
		if v.Len() > 0 {
			here("less the last", func(v reflect.Value) { v.SetLen(v.Len() - 1) })
		}
	case v.Kind() == reflect.String:
		here("longer", func(v reflect.Value) { v.SetString(v.String() + "x") })
	case v.Kind() == reflect.Bool:
		here("turned", func(v reflect.Value) { v.SetBool(!v.Bool()) })
	case v.CanUint():
		here("more", func(v reflect.Value) { v.SetUint(v.Uint() + 1) })
	case v.CanInt():
		here("more", func(v reflect.Value) { v.SetInt(v.Int() + 1) })
	default:
		panic("a field of kind " + v.Kind().String())
	}
	return list
}
