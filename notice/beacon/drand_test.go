package beacon

import (
	"encoding/hex"
	"encoding/json"
	"testing"
)

// drand's chain hash of quicknet, recomputed from what its /info says.
func TestChainOfQuicknet(t *testing.T) {
	seed := unhex(t, "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e")
	const want = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
	chain := quicknet(t).chain(seed, "quicknet")
	if got := hex.EncodeToString(chain[:]); got != want {
		t.Errorf("chain %s, want %s", got, want)
	}
}

// What a beacon says of itself and of a round reads back, and only as that round.
func TestRoundJSON(t *testing.T) {
	b, r := quicknet(t), quicknetRounds[0]
	s, err := b.Key.Verify(r.round, unhex(t, r.signature))
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Key.ParseRoundJSON(s.JSON(), r.round)
	if err != nil || hex.EncodeToString(again.Bytes()) != r.signature {
		t.Errorf("%v", err)
	}
	if _, err := b.Key.ParseRoundJSON(s.JSON(), r.round+1); err == nil {
		t.Error("the answer to another question passes")
	}
	stranger, _ := keyPair("stranger")
	if _, err := stranger.ParseRoundJSON(s.JSON(), r.round); err == nil {
		t.Error("another beacon's round passes")
	}
	var says map[string]any
	if err := json.Unmarshal(b.InfoJSON(), &says); err != nil || says["public_key"] != quicknetKey || says["schemeID"] != Scheme || says["period"] != 3.0 {
		t.Errorf("info %s, %v", b.InfoJSON(), err)
	}
}
