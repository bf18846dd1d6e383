package testenv

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/client"
	"writ/directory"
	"writ/directory/directorytest"
	"writ/mls"
)

// Person is an account with one device.
type Person struct {
	*client.Device
	Account string
	Storage client.Storage
	Config  client.Config
	w       *World

	mu      sync.Mutex
	between Between
	token   string // of its session, as its own traffic shows it
}

// Between is what stands on the wire between a device and delivery, and makes
// of a call what it likes.
type Between func(procedure string, req any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error)

// Person registers an account with one device, its config changed by change.
func (w *World) Person(account string, change ...func(*client.Config)) *Person {
	w.T.Helper()
	p := &Person{Account: account, w: w}
	p.Config = client.Config{Storage: client.NewMemory(), Laws: w.Laws, Now: time.Now, KeyPackages: 3, Directory: w.Directory, Address: address,
		Delivery: api.NewDeliveryClient(http.DefaultClient, w.URL, connect.WithInterceptors(wire{p}))}
	for _, f := range change {
		f(&p.Config)
	}
	p.Storage = p.Config.Storage
	var err error
	p.Device, err = client.Open(p.Config)
	w.Must(err)
	id := directory.Identity{Account: account, Device: "phone"}
	w.Must(p.Register(context.Background(), id, w.Charter.Hash(), directorytest.Recovery(account).Public()))
	w.Must(p.Acknowledge(w.Charter.Hash()))
	return p
}

// People registers accounts.
func (w *World) People(accounts ...string) (list []*Person) {
	w.T.Helper()
	for _, a := range accounts {
		list = append(list, w.Person(a))
	}
	return list
}

// Talk puts people into one conversation.
func (w *World) Talk(people ...*Person) client.ConversationID {
	w.T.Helper()
	var others []string
	for _, p := range people[1:] {
		others = append(others, p.Account)
	}
	id, err := people[0].Create(context.Background(), others...)
	w.Must(err)
	w.Sync(people...)
	return id
}

// Sync lets devices take what is new, in turn.
func (w *World) Sync(people ...*Person) {
	w.T.Helper()
	for _, p := range people {
		_, err := p.Sync(context.Background())
		w.Must(err)
	}
}

// Say sends texts.
func (p *Person) Say(id client.ConversationID, texts ...string) {
	p.w.T.Helper()
	for _, text := range texts {
		p.w.Must(p.Send(context.Background(), id, text))
	}
}

// Told returns what the device told of a conversation, of some kinds, as
// "kind sender: text or reason".
func (p *Person) Told(id client.ConversationID, kinds ...client.EventKind) (lines []string) {
	p.w.T.Helper()
	events, err := p.History(id)
	p.w.Must(err)
	for _, e := range events {
		if slices.Contains(kinds, e.Kind) {
			lines = append(lines, fmt.Sprintf("%v %s: %s%s", e.Kind, e.Sender.Account, e.Text, e.Reason))
		}
	}
	return lines
}

// Shown returns the texts that the device shows.
func (p *Person) Shown(id client.ConversationID) (texts []string) {
	for _, line := range p.Told(id, client.Message, client.Released) {
		_, text, _ := strings.Cut(line, ": ")
		texts = append(texts, text)
	}
	return texts
}

// Tap puts somebody between the device and delivery; nil nobody.
func (p *Person) Tap(b Between) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.between = b
}

// wire is a person's way to delivery.
type wire struct{ *Person }

// WrapUnary implements [connect.Interceptor].
func (p wire) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		p.mu.Lock()
		between := p.between
		if t := req.Header().Get("Authorization"); t != "" {
			p.token = t
		}
		p.mu.Unlock()
		send := func() (connect.AnyResponse, error) { return next(ctx, req) }
		if between == nil {
			return send()
		}
		return between(req.Spec().Procedure[strings.LastIndexByte(req.Spec().Procedure, '/')+1:], req.Any(), send)
	}
}

// WrapStreamingClient implements [connect.Interceptor].
func (wire) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements [connect.Interceptor].
func (wire) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// Reads changes what delivery answers to Read.
func Reads(change func(*api.ReadResponse)) Between {
	return func(procedure string, _ any, send func() (connect.AnyResponse, error)) (connect.AnyResponse, error) {
		res, err := send()
		if err == nil && procedure == "Read" {
			change(res.Any().(*api.ReadResponse))
		}
		return res, err
	}
}

// API is delivery as the person reaches it past its own client, in the session
// of its device.
func (p *Person) API() api.DeliveryClient {
	return api.NewDeliveryClient(http.DefaultClient, p.w.URL, connect.WithInterceptors(connect.UnaryInterceptorFunc(
		func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
				p.mu.Lock()
				req.Header().Set("Authorization", p.token)
				p.mu.Unlock()
				return next(ctx, req)
			}
		})))
}

// Group is the MLS group that lies in the device's storage, as it was when it
// was stored last: whoever holds the storage holds it. It checks no credentials.
func (p *Person) Group(id client.ConversationID) *mls.Group {
	p.w.T.Helper()
	g, err := LoadGroup(p.Storage, id)
	p.w.Must(err)
	return g
}

// LoadGroup reads the MLS group of a conversation out of a device's storage.
func LoadGroup(s client.Storage, id client.ConversationID) (*mls.Group, error) {
	stored, err := s.Load("c-" + id.String())
	if err != nil {
		return nil, err
	}
	var records []mls.Record
	for _, r := range stored {
		if key, ok := strings.CutPrefix(r.Key, "g/"); ok {
			records = append(records, mls.Record{Key: key, Value: r.Value})
		}
	}
	return mls.LoadGroup(mls.Config{Authenticate: func(*mls.LeafNode) error { return nil }, Now: time.Now, MaxPastEpochs: 3}, records)
}
