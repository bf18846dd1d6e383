package bundle

import (
	"fmt"
	"testing"

	"writ/mls"
)

// BenchmarkVerify is a bundle of 100 compartments with 10 messages each.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	c := w.converse(mls.XWING_CHACHA20POLY1305_SHA256_Ed25519, "lunch", "alice", "bob")
	var parts []Compartment
	for i := range 100 {
		if i > 0 {
			c.next()
		}
		texts := make([]string, 10)
		for j := range texts {
			texts[j] = fmt.Sprintf("message %d of epoch %d, about as long as people write", j, i)
		}
		parts = append(parts, c.say("alice", texts...))
	}
	file := built(w.open(edits{}, parts...), w.policy)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := Verify(file, w.policy); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "µs/message")
	b.ReportMetric(float64(len(file)), "bytes")
}
