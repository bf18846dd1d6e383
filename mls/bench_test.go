package mls

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// pair makes a group of n members and returns two of them that can talk. The others
// are leaves only: their key packages' secrets are thrown away.
func pair(b tester, cs CipherSuite, n int) (sender, receiver *Group) {
	w := newWorld(b, cs, testConfig())
	o := CommitOptions{}
	last := w.newcomer()
	for range n - 2 {
		o.Add = append(o.Add, w.newcomer().kp)
	}
	o.Add = append(o.Add, last.kp)
	sender = w.clients[0].g
	p, err := sender.Commit(o)
	w.check(err)
	_, err = sender.Apply(p.Staged)
	w.check(err)
	receiver, _, err = Join(w.cfg, p.Welcome, last.kp, last.secrets, last.key, nil)
	w.check(err)
	return sender, receiver
}

const benchText = 100

// ratio reports the benchmark's time as a multiple of the bare primitives, measured
// in the same run.
func ratio(b *testing.B, bare func()) {
	const rounds = 200
	start := time.Now()
	for range rounds {
		bare()
	}
	primitive := float64(time.Since(start)) / rounds
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/primitive, "x-bare")
}

func BenchmarkProtect(b *testing.B) {
	for _, n := range []int{2, 1000} {
		b.Run(fmt.Sprint("n=", n), func(b *testing.B) {
			g, _ := pair(b, XWING_CHACHA20POLY1305_SHA256_Ed25519, n)
			text := make([]byte, benchText)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := g.Protect(nil, text); err != nil {
					b.Fatal(err)
				}
			}
			_, key, _ := ed25519.GenerateKey(nil)
			aead, _ := chacha20poly1305.New(make([]byte, 32))
			nonce := make([]byte, 12)
			ratio(b, func() {
				sig := ed25519.Sign(key, text)
				aead.Seal(nil, nonce, append(sig, text...), nil)
			})
		})
	}
}

func BenchmarkUnprotect(b *testing.B) {
	for _, n := range []int{2, 1000} {
		b.Run(fmt.Sprint("n=", n), func(b *testing.B) {
			from, to := pair(b, XWING_CHACHA20POLY1305_SHA256_Ed25519, n)
			text := make([]byte, benchText)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				msg, _, err := from.Protect(nil, text)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, _, err := to.Unprotect(msg); err != nil {
					b.Fatal(err)
				}
			}
			public, key, _ := ed25519.GenerateKey(nil)
			sig := ed25519.Sign(key, text)
			aead, _ := chacha20poly1305.New(make([]byte, 32))
			nonce := make([]byte, 12)
			sealed := aead.Seal(nil, nonce, append(sig, text...), nil)
			ratio(b, func() {
				ed25519.Verify(public, text, sig)
				aead.Open(nil, nonce, sealed, nil)
			})
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{2, 1000} {
		b.Run(fmt.Sprint("n=", n), func(b *testing.B) {
			g, _ := pair(b, XWING_CHACHA20POLY1305_SHA256_Ed25519, n)
			var size, delta int
			for b.Loop() {
				p, err := g.Commit(CommitOptions{})
				if err != nil {
					b.Fatal(err)
				}
				d, err := g.Apply(p.Staged)
				if err != nil {
					b.Fatal(err)
				}
				size, delta = len(p.Message), 0
				for _, r := range d {
					delta += len(r.Value)
				}
			}
			b.ReportMetric(float64(size), "message-B")
			b.ReportMetric(float64(delta), "delta-B")
		})
	}
}

func BenchmarkStage(b *testing.B) {
	for _, n := range []int{2, 1000} {
		b.Run(fmt.Sprint("n=", n), func(b *testing.B) {
			from, to := pair(b, XWING_CHACHA20POLY1305_SHA256_Ed25519, n)
			p, err := from.Commit(CommitOptions{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := to.Stage(p.Message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
