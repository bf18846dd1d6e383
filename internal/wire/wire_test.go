package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// RFC 9420 section 2.1.2 gives these encodings.
func TestVarintOfRFC9420(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int
	}{
		{"\x25", 37},
		{"\x7b\xbd", 15293},
		{"\x9d\x7f\x3e\x7d", 494878333},
	} {
		r := NewReader([]byte(c.in))
		if got := r.varint(); got != c.want || r.Done() != nil {
			t.Errorf("varint(%x) = %d, %v; want %d", c.in, got, r.Err(), c.want)
		}
		if got := appendVarint(nil, c.want); string(got) != c.in {
			t.Errorf("appendVarint(%d) = %x, want %x", c.want, got, c.in)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		read func(*Reader)
	}{
		"long form":        {"\x40\x01a", func(r *Reader) { r.Opaque(9) }},
		"prefix 3":         {"\xc0\x00\x00\x00\x00\x00\x00\x01a", func(r *Reader) { r.Opaque(9) }},
		"too long":         {"\x03abc", func(r *Reader) { r.Opaque(2) }},
		"huge":             {"\xbf\xff\xff\xff", func(r *Reader) { r.Opaque(maxVarint) }},
		"short":            {"\x03ab", func(r *Reader) { r.Opaque(9) }},
		"trailing":         {"\x01\x02", func(r *Reader) { r.Uint8() }},
		"empty":            {"", func(r *Reader) { r.Uint64() }},
		"not UTF-8":        {"\x01\xff", func(r *Reader) { r.String(9) }},
		"escape":           {"\x01\x1b", func(r *Reader) { r.String(9) }},
		"reversed text":    {"\x03\u202e", func(r *Reader) { r.String(9) }},
		"name upper":       {"\x01A", func(r *Reader) { r.Name() }},
		"name empty":       {"\x00", func(r *Reader) { r.Name() }},
		"name sign first":  {"\x02-a", func(r *Reader) { r.Name() }},
		"name long":        {"\x40\x41" + strings.Repeat("a", 65), func(r *Reader) { r.Name() }},
		"failed of itself": {"", func(r *Reader) { r.Fail("no %s", "way") }},
		"failed inside":    {"\x01a", func(r *Reader) { v := r.Vector(9); v.Uint16(); r.Check(v.Done()) }},
	} {
		r := NewReader([]byte(c.in))
		c.read(r)
		if err := r.Done(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want malformed", name, err)
		}
	}
}

func TestHashSeparates(t *testing.T) {
	seen := map[[32]byte]string{}
	for name, h := range map[string][32]byte{
		"a: b c":  Hash("a", []byte("b"), []byte("c")),
		"a: bc":   Hash("a", []byte("bc")),
		"a: bc -": Hash("a", []byte("bc"), nil),
		"ab: c":   Hash("ab", []byte("c")),
	} {
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q hash alike", name, other)
		}
		seen[h] = name
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u8, u16 := rapid.Uint8().Draw(t, "u8"), rapid.Uint16().Draw(t, "u16")
		u32, u64 := rapid.Uint32().Draw(t, "u32"), rapid.Uint64().Draw(t, "u64")
		blob := rapid.SliceOfN(rapid.Byte(), 0, 20000).Draw(t, "blob")
		var w Writer
		w.Uint8(u8)
		w.Uint16(u16)
		w.Uint32(u32)
		w.Uint64(u64)
		w.Vector(func(w *Writer) { w.Opaque(blob); w.String("é") })
		r := NewReader(w.Bytes())
		if r.Uint8() != u8 || r.Uint16() != u16 || r.Uint32() != u32 || r.Uint64() != u64 {
			t.Fatal("integers differ")
		}
		v := r.Vector(30000)
		if !bytes.Equal(v.Opaque(20000), blob) || v.String(2) != "é" {
			t.Fatal("vectors differ")
		}
		r.Check(v.Done())
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever parses encodes again to the same bytes.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte("\x00\x01\x03abc\x40\x41" + strings.Repeat("a", 65)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		var w Writer
		w.Uint16(r.Uint16())
		for r.More() {
			w.Opaque(r.Opaque(1 << 20))
		}
		if r.Done() == nil && !bytes.Equal(w.Bytes(), b) {
			t.Fatalf("%x encodes as %x", b, w.Bytes())
		}
	})
}
