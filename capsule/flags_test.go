package capsule

import (
	"errors"
	"testing"
)

// The mark holds nothing: two marks that say the same must be the same bytes.
func TestFlagsOf(t *testing.T) {
	for _, x := range []struct {
		data   []byte
		marked bool
		want   Flags
		err    error
	}{{nil, false, 0, nil}, {nil, true, Privileged, nil}, {[]byte{}, true, Privileged, nil}, {[]byte{0}, true, 0, ErrInvalid}} {
		if got, err := FlagsOf(x.data, x.marked); got != x.want || !errors.Is(err, x.err) {
			t.Errorf("%x, %v: %v, %v", x.data, x.marked, got, err)
		}
	}
}
