package directory

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"testing"
)

const million = 1_000_000

// benchLeaf is the leaf of one of a million accounts. Its label is a hash in
// place of a VRF output: those would take minutes to make and differ in nothing.
func benchLeaf(i uint64) Leaf {
	h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("label"), i))
	return Leaf{Label: h, Commitment: h}
}

func heapMB() float64 {
	runtime.GC()
	runtime.GC() // the second frees what the first found while it ran
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

func benchTree() Tree {
	updates := make([]Update, million)
	for i := range updates {
		l := benchLeaf(uint64(i))
		updates[i] = Update{l.Label, Value{}.Next(uint64(i), l)}
	}
	return Tree{}.With(updates...)
}

// BenchmarkTree builds a tree of 1,000,000 labels in one batch.
func BenchmarkTree(b *testing.B) {
	before := heapMB()
	var t Tree
	for b.Loop() {
		t = benchTree()
	}
	b.ReportMetric(heapMB()-before, "MB")
	runtime.KeepAlive(t)
}

// BenchmarkUpdate sets one value, and 32 at once, in that tree.
func BenchmarkUpdate(b *testing.B) {
	t := benchTree()
	for _, n := range []int{1, RootEvery} {
		b.Run(map[int]string{1: "one", RootEvery: "batch"}[n], func(b *testing.B) {
			next := uint64(million)
			for b.Loop() {
				updates := make([]Update, n)
				for i := range updates {
					l := benchLeaf(next)
					updates[i], next = Update{l.Label, Value{}.Next(next, l)}, next+1
				}
				t.With(updates...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/update")
		})
	}
}

// BenchmarkLookup answers and verifies with 1,000,000 accounts on the log and
// half of a root's interval in the tail. "vrf" is the part of the label alone.
func BenchmarkLookup(b *testing.B) {
	s := newServer(b)
	for i := range uint64(million) {
		if i == million/2 {
			s.publish(first("ann"))
		} else {
			s.append(benchLeaf(i).Entry())
		}
	}
	s.root()
	s.fill(RootEvery/2 - 1)
	at, key := s.log.facts(), s.key.Public()
	b.Run("answer", func(b *testing.B) {
		for b.Loop() {
			s.lookup("ann").Encode()
		}
	})
	for _, account := range []string{"ann", "nobody"} {
		l := s.lookup(account).Encode()
		b.Run("verify/"+account, func(b *testing.B) {
			for b.Loop() {
				if _, err := Verify(l, account, key, at, now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(l)), "B/lookup")
		})
	}
	_, proof := s.key.Prove("ann")
	b.Run("vrf", func(b *testing.B) {
		for b.Loop() {
			if _, err := key.Verify("ann", proof); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchLog is a log of 1,000,000 leaves with a root after every 32 entries.
func benchLog(b *testing.B) (entries [][]byte) {
	writer := NewBook()
	write := func(e []byte) {
		if err := writer.Apply(e); err != nil {
			b.Fatal(err)
		}
		entries = append(entries, e)
	}
	for i := range uint64(million) {
		if write(benchLeaf(i).Entry()); writer.Due() {
			write(writer.Root().Entry())
		}
	}
	return entries
}

// BenchmarkAudit replays that log and recomputes each root.
func BenchmarkAudit(b *testing.B) {
	entries := benchLog(b)
	before := heapMB()
	var book *Book
	for b.Loop() {
		book = NewBook()
		for _, e := range entries {
			if err := book.Apply(e); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(heapMB()-before, "MB")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(entries)), "ns/entry")
	runtime.KeepAlive(book)
	runtime.KeepAlive(entries)
}
