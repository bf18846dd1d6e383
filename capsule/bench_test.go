package capsule

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"writ/charter/chartertest"
)

// benchSealer returns a sealer for n custodians in two offices.
func benchSealer(b *testing.B, n int) (*Sealer, *Label) {
	b.Helper()
	half := n / 2
	w := chartertest.New("bench",
		chartertest.Shape{Office: "a", Need: half/2 + 1, Custodians: half, Approve: 1, Approvers: 1},
		chartertest.Shape{Office: "b", Need: (n-half)/2 + 1, Custodians: n - half, Approve: 1, Approvers: 1})
	s, err := NewSealer(w.Access())
	if err != nil {
		b.Fatal(err)
	}
	return s, &Label{Suite: 0xF001, Conversation: make([]byte, 16), Account: "ann", Device: "phone",
		Charter: w.Charter.Hash(), Period: w.Charter.Period(chartertest.Now)}
}

// bare runs the encapsulations of one capsule and nothing else.
func bare(s *Sealer) {
	var enc [maxEncSize]byte
	var coins [160]byte
	for i := range s.recipients {
		r := &s.recipients[i]
		if _, err := r.encapsulate(enc[:r.encSize()], coins[:r.coinSize()]); err != nil {
			panic(err)
		}
	}
}

// bench reports the time of work as a multiple of its bare encapsulations,
// taken in turns in the same run.
func bench(b *testing.B, work func(*Sealer, *Label, []byte) error) {
	secret := bytes.Repeat([]byte{1}, 32)
	for _, n := range []int{3, 5, 7, 9} {
		b.Run(fmt.Sprintf("custodians=%d", n), func(b *testing.B) {
			s, l := benchSealer(b, n)
			c, err := s.Seal(l, secret, secret)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var spent, floor time.Duration
			for b.Loop() {
				start := time.Now()
				if err := work(s, l, c.Bytes()); err != nil {
					b.Fatal(err)
				}
				spent += time.Since(start)
				b.StopTimer()
				start = time.Now()
				bare(s)
				floor += time.Since(start)
				b.StartTimer()
			}
			b.ReportMetric(float64(spent)/float64(floor), "x-bare")
			b.ReportMetric(float64(len(c.Bytes())), "bytes")
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	secret := bytes.Repeat([]byte{1}, 32)
	bench(b, func(s *Sealer, l *Label, _ []byte) error { _, err := s.Seal(l, secret, secret); return err })
}

func BenchmarkCheck(b *testing.B) {
	secret := bytes.Repeat([]byte{1}, 32)
	bench(b, func(s *Sealer, l *Label, c []byte) error { return s.Check(c, l, secret, secret) })
}
