// Package delivery is the delivery service: it stores and forwards MLS messages
// that it cannot read (RFC 9420, RFC 9750 section 5). Its interface is api.Delivery.
//
// # What it checks
//
// Delivery follows the handshake of every conversation as a public group, so it
// knows each epoch's members, tree hash and group context, and nothing secret.
//
//   - A leaf enters a tree only with the credential and key of a registered
//     device, and with the hash of a charter that delivery knows (home law).
//   - One commit ends an epoch. It, its welcome and the new roster are stored
//     together; every other commit of that epoch is told who won. The opening time
//     that a commit states must be delivery's own, within [Config.Tolerance].
//   - An application message comes from a device that is a member in its epoch
//     and now; its epoch is the current one or one of the three before, and not
//     older than the sender's charter allows; no newer version of that charter has
//     been in force for that long; and its authenticated data is the
//     hash of a capsule that is stored for that very compartment. Under a charter
//     without exceptional access there is no capsule and no authenticated data.
//   - A capsule's label must say what delivery knows of the compartment: suite,
//     sender, charter, key period, opening hour and roster root. Whether the seal
//     is right only members can tell: they recompute it.
//
// # What it remembers
//
// Everything that was answered is on the disk (package engine). In memory are
// sessions, which end with the process, and copies of what is stored, dropped
// whenever in doubt. Events are pushed after the commit, in order, and may be lost.
//
// # What it sees
//
// Who talks with whom, when, how much, in which conversations: metadata is not
// hidden from delivery. Its database holds no plaintext and no key that opens
// anything.
//
// # Disclosure
//
// Whoever shows a warrant that is approved and logged gets the compartments in its
// scope, sealed as they are, with a signed count of each. Delivery opens nothing. A
// count is of now: it is final once the epoch takes no more messages. Of each page a
// record stays: the warrant's hash, when, how much. It is stored before the page leaves.
//
// # What it does not do
//
// It can't check the tags that need a group's secrets, so a member can make it follow
// a commit that the other members refuse; they see who did. It does not limit how many
// accounts are registered, which is for a proxy in front; so who registers many can take
// all key packages of another. That a device belongs to a person is for the directory to
// say.
//
// # Example
//
//	s, err := delivery.Open(delivery.Config{Store: engine.Config{Path: path}, ...})
//	defer s.Close()
//	http.ListenAndServe(addr, s.Handler())
package delivery

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"writ/api"
	"writ/charter"
	"writ/engine"
	"writ/ledger"
)

// Config is what a service runs with.
type Config struct {
	Store engine.Config

	// Laws are the charters delivery knows. A device under any other is not let
	// into a conversation.
	Laws Laws

	// Address is the URL under which the deployment file names this service. A login
	// is signed for it: with another than devices have, none succeeds.
	Address string

	// StatementKey signs statements about compartments: the private half of the charters'
	// delivery key. Without it Disclose is unsupported.
	StatementKey StatementKey

	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// Tolerance is how far the opening time that a commit states may be from Now;
	// 0 means two minutes. Devices with a worse clock can't commit.
	Tolerance time.Duration

	// Conversations is how many are kept in memory; 0 means 4096.
	Conversations int

	// Log is told what goes wrong inside, never who did what; nil means nobody.
	Log *slog.Logger
}

// Laws is what delivery needs to know of the ledger. Its methods are called from
// many goroutines.
type Laws interface {
	// Charter returns a charter that is on the ledger, verified. Old versions stay
	// as long as devices are under them.
	Charter(h charter.Hash) (*charter.Charter, bool)
	// Versions returns a charter that is on the ledger and those before it, the newest
	// first; none if it is unknown.
	Versions(h charter.Hash) []*charter.Charter
	// InForce returns the version of the charter of a name that was in force at a time,
	// as far as this copy of the ledger tells.
	InForce(name string, at time.Time) (*charter.Charter, bool)
	// Actionable returns nil if the warrant entry that the ledger has at an index may be
	// acted on now: it counts, its charter is in force, and it is within the cap.
	Actionable(ctx context.Context, index uint64, h ledger.EntryHash) error
	// Keys returns the custodians' key statements of a law for a key period, in
	// ledger order, as charter.Charter.Access wants them.
	Keys(name string, period uint32) []*charter.KeyStatement
}

// Fixed are laws whose charters hold all the custodians' keys, for a service
// that doesn't follow a ledger: cap and amendments are then left to the custodians.
type Fixed map[charter.Hash]*charter.Charter

// FixedLaws returns the laws of verified charters.
func FixedLaws(charters ...*charter.Charter) Fixed {
	f := Fixed{}
	for _, c := range charters {
		f[c.Hash()] = c
	}
	return f
}

// Charter implements [Laws].
func (f Fixed) Charter(h charter.Hash) (*charter.Charter, bool) {
	c, ok := f[h]
	return c, ok
}

// Versions implements [Laws].
func (f Fixed) Versions(h charter.Hash) (list []*charter.Charter) {
	for c, ok := f[h]; ok; c, ok = f[c.Previous] {
		list = append(list, c)
	}
	return list
}

// InForce implements [Laws]: nobody knows.
func (Fixed) InForce(string, time.Time) (*charter.Charter, bool) { return nil, false }

// Actionable implements [Laws].
func (Fixed) Actionable(context.Context, uint64, ledger.EntryHash) error { return nil }

// Keys implements [Laws].
func (Fixed) Keys(string, uint32) []*charter.KeyStatement { return nil }

// Bounds of what one request or device may cost.
const (
	maxRequest       = 13 << 20 // bytes on the wire
	maxMessage       = 64 << 10 // application messages and proposals
	maxCommit        = 4 << 20
	maxWelcome       = 8 << 20
	maxGroupInfo     = 64 << 10 // of a new conversation, which has one member
	maxKeyPackage    = 16 << 10
	maxLeaf          = 8 << 10 // of a tree, which every member keeps
	maxStock         = 100     // key packages waiting, per device
	maxDevices       = 16      // per account
	maxSessions      = 4       // per device; a further login ends the oldest
	maxSubscriptions = 4       // per device
	maxCapsules      = 4       // per compartment, by its sender's device
	maxForeign       = 1       // per compartment, by each other: there is one right capsule
	maxWaiting       = 128     // proposals of one epoch
	maxMembers       = 2048
	maxReadCount     = 500
	maxReadBytes     = 2 << 20
	eventQueue       = 256 // events that wait for a slow subscriber
)

// midSize is the size in bytes of conversation ids, mids and request ids.
const midSize = 16

// Service is a running delivery service.
type Service struct {
	config   Config
	now      func() time.Time
	log      *slog.Logger
	store    *engine.Delivery
	sessions *sessions
	hub      *hub

	accesses accesses
	keys     deviceKeys
	takes    takes
	pulse    time.Duration // between two looks at a quiet subscription

	mu            sync.Mutex
	conversations map[string]*conversation
}

var _ api.DeliveryHandler = (*Service)(nil)

// Open opens the store and starts the service.
func Open(c Config) (*Service, error) {
	if c.Address == "" { // else a login anywhere would be one here
		return nil, errors.New("delivery: refused: no address in the configuration")
	}
	s := &Service{
		config:        c,
		now:           c.Now,
		log:           c.Log,
		sessions:      newSessions(),
		hub:           newHub(),
		conversations: map[string]*conversation{},
		accesses:      accesses{of: map[accessKey]*charter.Access{}},
		pulse:         30 * time.Second,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s.config.Tolerance = cmp.Or(c.Tolerance, 2*time.Minute)
	s.config.Conversations = cmp.Or(c.Conversations, 4096)
	var err error
	if s.store, err = engine.OpenDelivery(c.Store, s.hub.committed); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends subscriptions and the store. Requests that run fail.
func (s *Service) Close() error {
	s.hub.close()
	return s.store.Close()
}

// Handler serves api.Delivery. Requests are bounded in size; their number and
// duration are for the http.Server. Nothing is compressed: ciphertext does not
// shrink, and small answers would cost more time than they save.
func (s *Service) Handler() http.Handler {
	path, h := api.NewDeliveryHandler(s, connect.WithReadMaxBytes(maxRequest), connect.WithCompression("gzip", nil, nil))
	mux := http.NewServeMux()
	mux.Handle(path, s.authenticate(h))
	return mux
}

// accesses are the access structures that were asked for.
type accesses struct {
	mu sync.Mutex
	of map[accessKey]*charter.Access
}

type accessKey struct {
	law    charter.Hash
	period uint32
}

// access returns a charter's access structure for a period that a true label names,
// which bounds how many are kept.
func (s *Service) access(h charter.Hash, period uint32) (*charter.Access, error) {
	s.accesses.mu.Lock()
	defer s.accesses.mu.Unlock()
	key := accessKey{h, period}
	if a := s.accesses.of[key]; a != nil {
		return a, nil
	}
	c, ok := s.config.Laws.Charter(h)
	if !ok {
		return nil, refused("unknown charter")
	}
	a, err := c.Access(period, s.config.Laws.Keys(c.Name, period))
	if err == nil {
		s.accesses.of[key] = a
	}
	return a, err
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}
