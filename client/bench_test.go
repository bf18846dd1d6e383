//go:build unix

package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"writ/charter"
)

// messages in a compartment.
const messages = 100

// cpu is the processor time of this process, in which devices and delivery are.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A pair talks under one law; the second device hears live.
type pair struct {
	*world
	anna, ben *Device
	id        ConversationID
	heard     chan Event
	spent     []time.Duration // of each compartment
}

func (w *world) pair(ctx context.Context, name string, law charter.Hash, store func() Storage) *pair {
	device := func(account string) *Device {
		d, err := Open(w.config(store()))
		w.check(err)
		w.register(d, phone(account), law)
		return d
	}
	p := &pair{world: w, anna: device("a-" + name), ben: device("b-" + name), heard: make(chan Event, messages)}
	p.id = w.talk(p.anna, p.ben)
	go func() {
		for e, err := range p.ben.Watch(ctx) {
			if err == nil && e.Kind == Message {
				p.heard <- e
			}
		}
	}()
	return p
}

// compartment begins an epoch and says a hundred things in it.
func (p *pair) compartment(b *testing.B) {
	before := cpu(b)
	p.anna.mu.Lock()
	p.anna.convs[p.id].renew = true
	p.anna.mu.Unlock()
	for i := range messages {
		p.send(p.anna, p.id, fmt.Sprintf("message %d of a conversation, as long as people write them", i))
		<-p.heard
	}
	p.spent = append(p.spent, cpu(b)-before)
}

// What exceptional access adds to a conversation of two with 100 messages a
// compartment: the processor time of both devices and of delivery, with an access
// charter of eight custodians and without, in turns. With files the devices store
// as real ones do.
func BenchmarkExceptionalAccess(b *testing.B) {
	b.Run("files", func(b *testing.B) {
		addedBy(b, func() Storage {
			f, err := OpenFiles(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			return f
		})
	})
	b.Run("memory", func(b *testing.B) { addedBy(b, func() Storage { return NewMemory() }) })
}

func addedBy(b *testing.B, store func() Storage) {
	w := newWorld(b)
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	name := strings.ReplaceAll(strings.ToLower(b.Name()), "/", "-") + fmt.Sprint(b.N)
	with, without := w.pair(ctx, "with-"+name, w.access, store), w.pair(ctx, "without-"+name, w.open, store)
	for _, p := range []*pair{with, without} { // warm
		p.compartment(b)
		p.spent = nil
	}
	b.ResetTimer()
	for range b.N {
		with.compartment(b)
		without.compartment(b)
	}
	b.ReportMetric(0, "ns/op")
	ms := func(p *pair) float64 { // the median: a machine does other things too
		slices.Sort(p.spent)
		return p.spent[len(p.spent)/2].Seconds() * 1000
	}
	b.ReportMetric(ms(with), "cpu-ms/with")
	b.ReportMetric(ms(without), "cpu-ms/without")
	b.ReportMetric(100*(ms(with)/ms(without)-1), "%added")
}

// What one device does for a compartment of another: computing its capsule.
func BenchmarkCapsuleOfReceiver(b *testing.B) {
	w := newWorld(b)
	anna, ben := w.device("a-cap", w.access), w.device("b-cap", w.access)
	c := ben.convs[w.talk(anna, ben)]
	p := place{c.group.Epoch(), 0}
	for b.Loop() {
		if _, err := c.seal(p); err != nil {
			b.Fatal(err)
		}
	}
}
