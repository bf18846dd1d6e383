package capsule

import (
	"errors"
	"testing"
)

// CAP-23, CAP-35: a content has one place.
func TestContent(t *testing.T) {
	for _, text := range []string{"", "x", "a longer text"} {
		b := Content(7, []byte(text))
		if got, err := Text(7, b); err != nil || string(got) != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		for _, elsewhere := range []uint32{0, 6, 8, 7 << 8} {
			if _, err := Text(elsewhere, b); !errors.Is(err, ErrInvalid) {
				t.Errorf("%q in place %d: %v", text, elsewhere, err)
			}
		}
	}
	for n := range numberSize {
		if _, err := Text(0, make([]byte, n)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
