package delivery

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"writ/api"
	"writ/engine"
	"writ/mls"
)

// benchWriters is how many write at once.
const benchWriters = 256

var noChange = mls.CommitOptions{}

// hammer calls do n times from many goroutines and returns the rate and the latency
// that one in a hundred exceeds.
func hammer(n int, do func(i int)) (perSecond float64, p99 time.Duration) {
	var group sync.WaitGroup
	took := make([]time.Duration, n)
	start := time.Now()
	for w := range benchWriters {
		group.Go(func() {
			for i := w; i < n; i += benchWriters {
				t := time.Now()
				do(i)
				took[i] = time.Since(t)
			}
		})
	}
	group.Wait()
	elapsed := time.Since(start)
	slices.Sort(took)
	return float64(n) / elapsed.Seconds(), took[n*99/100]
}

// BenchmarkAppend compares durable appends of 1 kB by 256 writers: the bare engine,
// the service with all its checks, and the service through HTTP with client and
// server on the same machine.
func BenchmarkAppend(b *testing.B) {
	w := newWorld(b)
	const conversations = 64
	alice := w.phone("alice", "phone", nil)
	var requests []*api.AppendRequest
	for range conversations {
		conv := alice.create()
		alice.commit(conv, noChange)
		requests = append(requests, alice.protect(conv, alice.deposit(conv), string(randomBytes(1024))))
	}
	request := func(i int) *api.AppendRequest {
		r := requests[i%conversations]
		return &api.AppendRequest{Conversation: r.Conversation, Mid: randomBytes(16), Message: r.Message}
	}
	fail := func(err error) {
		if err != nil {
			b.Error(err)
		}
	}
	store, err := engine.OpenDelivery(engine.Config{Path: filepath.Join(b.TempDir(), "bare.db")}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	for _, r := range requests {
		fail(store.PutConversation(b.Context(), r.Conversation, nil, engine.Epoch{}, engine.Member{}, nil))
	}
	n := max(b.N, benchWriters)
	b.ResetTimer()
	bare, bareTail := hammer(n, func(i int) {
		r := request(i)
		fail(store.Append(context.Background(), &engine.Message{Conversation: r.Conversation, Mid: r.Mid, Kind: engine.Application, Body: r.Message}))
	})
	ctx := context.WithValue(context.Background(), callerKey{}, &caller{device: alice.id})
	service, serviceTail := hammer(n, func(i int) {
		_, err := w.service.Append(ctx, request(i))
		fail(err)
	})
	client := alice.api()
	http, httpTail := hammer(n, func(i int) {
		_, err := client.Append(context.Background(), request(i))
		fail(err)
	})
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(bare, "bare/s")
	b.ReportMetric(service, "service/s")
	b.ReportMetric(http, "http/s")
	b.ReportMetric(service/bare, "service/bare")
	b.ReportMetric(http/bare, "http/bare")
	b.ReportMetric(float64(bareTail.Microseconds())/1000, "bare-p99-ms")
	b.ReportMetric(float64(serviceTail.Microseconds())/1000, "service-p99-ms")
	b.ReportMetric(float64(httpTail.Microseconds())/1000, "http-p99-ms")
}
