package etsi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"writ/internal/wire"
)

const maxDepth = 24

// parse reads one JSON object. Numbers stay as they are written. A member that
// occurs twice is an error: encoding/json would let the last one win.
func parse(b []byte) (any, error) {
	switch {
	case len(b) > MaxSize:
		return nil, malformed("", "longer than %d bytes", MaxSize)
	case !utf8.Valid(b):
		return nil, malformed("", "not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := value(d, "", 0)
	if err != nil {
		return nil, err
	}
	if _, isObject := v.(object); !isObject {
		return nil, malformed("", "not a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("", "something follows the object")
	}
	return v, nil
}

func value(d *json.Decoder, path string, depth int) (any, error) {
	t, err := d.Token()
	switch {
	case err != nil:
		return nil, malformed(path, "%v", err)
	case depth > maxDepth:
		return nil, malformed(path, "nested deeper than %d", maxDepth)
	case t == json.Delim('{'):
		return members(d, path, depth)
	case t == json.Delim('['):
		return items(d, path, depth)
	}
	return t, nil
}

func members(d *json.Decoder, path string, depth int) (any, error) {
	o := object{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, malformed(path, "%v", err)
		}
		key, _ := t.(string)
		if _, seen := o[key]; seen {
			return nil, malformed(join(path, key), "given twice")
		}
		if o[key], err = value(d, join(path, key), depth+1); err != nil {
			return nil, err
		}
	}
	return o, closing(d, path)
}

func items(d *json.Decoder, path string, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := value(d, fmt.Sprintf("%s[%d]", path, len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, closing(d, path)
}

// closing takes the bracket that ends an object or a list.
func closing(d *json.Decoder, path string) error {
	if _, err := d.Token(); err != nil {
		return malformed(path, "%v", err)
	}
	return nil
}

// reader takes values out of a tree; the first error stays.
type reader struct {
	root any
	err  error
}

// at returns what stands at a path, nil if nothing does. A number steps into a
// list.
func (r *reader) at(path ...string) any {
	v := r.root
	for _, step := range path {
		switch in := v.(type) {
		case object:
			v = in[step]
		case []any:
			var i int
			if _, err := fmt.Sscanf(step, "[%d]", &i); err != nil || i < 0 || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

// text returns the string at a path.
func (r *reader) text(path ...string) string {
	s, ok := r.at(path...).(string)
	if !ok {
		r.fail(path, "missing, or not a string")
	}
	return s
}

func (r *reader) match(form *regexp.Regexp, path ...string) string {
	s := r.text(path...)
	if !form.MatchString(s) {
		r.fail(path, "%.64q is not of the form %s", s, form)
	}
	return s
}

func (r *reader) party(path ...string) Party {
	at := func(member string) []string { return append(slices.Clone(path), member) }
	return Party{r.match(country, at("CountryCode")...), r.match(name, at("UniqueIdentifier")...)}
}

func (r *reader) fail(path []string, format string, args ...any) {
	if r.err == nil {
		r.err = malformed(strings.Join(path, " "), format, args...)
	}
}

// put places a value at a path of members, which it makes.
func put(o object, v any, path ...string) {
	for _, step := range path[:len(path)-1] {
		if _, ok := o[step]; !ok {
			o[step] = object{}
		}
		o = o[step].(object)
	}
	o[path[len(path)-1]] = v
}

// compare says where a message differs from the one that says the same, nil if
// nowhere.
func compare(path string, got, want any) error {
	g, isObject := got.(object)
	w, wantObject := want.(object)
	if isObject && wantObject {
		return compareObjects(path, g, w)
	}
	a, isList := got.([]any)
	b, wantList := want.([]any)
	switch {
	case isList && wantList && len(a) == len(b):
		for i := range a {
			if err := compare(fmt.Sprintf("%s[%d]", path, i), a[i], b[i]); err != nil {
				return err
			}
		}
		return nil
	case isList && wantList:
		return malformed(path, "%d items where the rest of the message says %d", len(a), len(b))
	case isList || wantList || isObject || wantObject:
		return malformed(path, "of another type")
	case got != want && !sameInstant(got, want):
		return malformed(path, "%.64q where the rest of the message says %.64q", fmt.Sprint(got), fmt.Sprint(want))
	}
	return nil
}

// sameInstant lets a sender write an instant in another zone than UTC.
func sameInstant(got, want any) bool {
	a, _ := got.(string)
	b, _ := want.(string)
	x, err := time.Parse(time.RFC3339, a)
	y, bad := time.Parse(time.RFC3339, b)
	return err == nil && bad == nil && x.Equal(y)
}

func compareObjects(path string, got, want object) error {
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, known := want[key]; !known {
			return malformed(join(path, key), "unknown here")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		v, there := got[key]
		if !there {
			return malformed(join(path, key), "missing")
		}
		if err := compare(join(path, key), v, want[key]); err != nil {
			return err
		}
	}
	return nil
}

func join(path, key string) string { return strings.TrimSpace(fmt.Sprintf("%s %.64s", path, key)) }

func malformed(path, format string, args ...any) error {
	if path != "" {
		path += ": "
	}
	return fmt.Errorf("etsi: %w: %s%s", wire.ErrMalformed, path, fmt.Sprintf(format, args...))
}
