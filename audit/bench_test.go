package audit

import (
	"runtime"
	"testing"
	"time"

	"writ/ledger"
)

// benchLog is a log of 100,000 entries: orders with a request of ten
// compartments and five releases each.
func benchLog(b *testing.B) *world {
	w := newWorld(b)
	w.Charter.Limits.CapSubjects = 1_000_000
	w.entries, w.hashes = nil, nil
	w.log(ledger.CharterEntry(w.Sign(w.Charter)))
	for i := 0; len(w.entries) < 100_000; i++ {
		at, h := w.warrant(begun.Add(time.Duration(i)*time.Minute), nil)
		q := w.request(at, h, 10)
		for _, id := range quorum {
			x := &ledger.Release{RequestIndex: at + 1, Request: ledger.HashEntry(q.Entry()), Office: id[:len(id)-2], Custodian: id,
				Count: uint32(len(q.Leaves)), Root: q.Root()}
			x.Sign(ledger.CustodianSigner(w.Custodians[id]))
			w.log(x.Entry())
		}
	}
	return w
}

func heapMB() float64 {
	runtime.GC()
	runtime.GC() // the second frees what the first found while it ran
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// BenchmarkAudit reads that log, checks every entry and makes the report.
func BenchmarkAudit(b *testing.B) {
	w := benchLog(b)
	before := heapMB()
	var a *Auditor
	for b.Loop() {
		a = New(w.first())
		for i, e := range w.entries {
			w.must(a.Apply(uint64(i), e, begun))
		}
		if r := a.Report(w.policy, w.checkpoint(2), Options{Now: begun}); !r.Holds || r.Laws[0].Tables[0].Openings < 14_000 {
			b.Fatalf("%d findings, %+v", len(r.Findings), r.Laws[0].Tables[0].Numbers)
		}
	}
	b.ReportMetric(heapMB()-before, "MB")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(w.entries)), "ns/entry")
	runtime.KeepAlive(a)
	runtime.KeepAlive(w)
}
