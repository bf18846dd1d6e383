package docket_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"writ/api"
	"writ/docket"
	"writ/internal/testlaw"
)

// A warrant is found by the beginning of its hash, odd or even, or as the newest, and
// nothing else comes with it.
func TestFindWarrant(t *testing.T) {
	t.Parallel()
	w := testlaw.New(t, nil, testlaw.Small...)
	s, d := w.StartDocket(t.TempDir())
	if out, err := d.ListWarrants(ctx, &api.ListWarrantsRequest{Newest: true}); err != nil || len(out.Warrants) != 0 {
		t.Errorf("the newest of none: %v, %v", out, err)
	}
	var last [32]byte
	put := func(first ...byte) {
		t.Helper()
		last = [32]byte{}
		copy(last[:], first)
		if err := s.Put(ctx, last); err != nil {
			t.Fatal(err)
		}
	}
	put(0xab, 0xc0)
	put(0xab, 0xc1)
	put(0xab, 0xcf, 1)
	put(0xab, 0xd0)
	put(0xff)
	put()
	for i := range docket.MaxNamed + 1 {
		put(0x20, byte(i))
	}
	put(0xab)
	full := hex.EncodeToString(last[:])
	for prefix, want := range map[string]int{"a": 5, "ab": 5, "abc": 3, "abc1": 1, "abcf01": 1, "abd": 1, "abe": 0, "f": 1, "00": 1,
		full: 1, full[:63]: 1, full[:62]: 1, full[:63] + "1": 0, "20": docket.MaxNamed} {
		out, err := d.ListWarrants(ctx, &api.ListWarrantsRequest{Prefix: prefix})
		if err != nil || len(out.Warrants) != want || out.More != (prefix == "20") {
			t.Errorf("%s: %d, %v, %v", prefix, len(out.GetWarrants()), out.GetMore(), err)
			continue
		}
		for _, x := range out.Warrants {
			if !strings.HasPrefix(hex.EncodeToString(x.WarrantHash), prefix) {
				t.Errorf("%s: %x", prefix, x.WarrantHash)
			}
		}
	}
	out, err := d.ListWarrants(ctx, &api.ListWarrantsRequest{Newest: true})
	if err != nil || len(out.Warrants) != 1 || out.More || [32]byte(out.Warrants[0].WarrantHash) != last {
		t.Errorf("the newest: %v, %v", out, err)
	}
	for _, prefix := range []string{"AB", "x", "latest", full + "0"} {
		_, err := d.ListWarrants(ctx, &api.ListWarrantsRequest{Prefix: prefix})
		code(t, prefix, err, connect.CodeInvalidArgument)
	}
}
