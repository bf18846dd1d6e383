package notice_test

import (
	"encoding/hex"
	"testing"

	"writ/capsule"
	"writ/internal/wire"
	"writ/notice"
)

// The leaf binds the capsule and the salt, each in its place.
func TestLeaf(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	want := wire.Hash("notice", a[:], b[:])
	if got := notice.Leaf(capsule.Hash(a), b); got != want {
		t.Errorf("leaf %x, want %x", got, want)
	}
	const golden = "167879814513d45dc75537bf4308ecae52862370862d0ef349bba1e769bf7649"
	if got := hex.EncodeToString(want[:]); got != golden {
		t.Errorf("leaf %s, want %s", got, golden)
	}
	if notice.Leaf(capsule.Hash(b), a) == want {
		t.Error("capsule and salt change places")
	}
}
