package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkAppend is the bare engine: durable appends of 1 kB by 16 or 256 writers to
// random ones of so many conversations that have one message each.
func BenchmarkAppend(b *testing.B) {
	for _, conversations := range []int{1000, 100_000} {
		for _, writers := range []int{16, 256} {
			b.Run(fmt.Sprintf("conversations=%d/writers=%d", conversations, writers), func(b *testing.B) {
				benchmarkAppend(b, conversations, writers)
			})
		}
	}
}

func benchmarkAppend(b *testing.B, conversations, writers int) {
	s := openTestDelivery(b, Config{}, nil)
	convs := fill(b, s, conversations)
	body := random(1024)
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := w; i < b.N; i += writers {
				m := &Message{Conversation: convs[(i*7919)%len(convs)], Mid: random(16), Kind: Application, Body: body}
				start := time.Now()
				if err := s.Append(context.Background(), m); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
}

// fill makes conversations in one transaction and returns their ids.
func fill(b *testing.B, s *Delivery, n int) (convs [][]byte) {
	for range n {
		convs = append(convs, random(16))
	}
	err := s.db.submit(b.Context(), func(t *tx) error {
		for _, conv := range convs {
			t.exec("INSERT INTO conversations (conv, epoch, info) VALUES (?, 0, ?)", conv, conv)
			s.insert(t, &Message{Conversation: conv, Mid: conv, Kind: Application, Body: conv}, conv)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return convs
}
