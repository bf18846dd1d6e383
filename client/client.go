// Package client is a person's device: its keys, its conversations, what it
// seals and what it checks. It has no user interface.
//
// # Terms
//
// A [Device] is one MLS client of an account. A conversation is an MLS group
// whose members are devices. An epoch begins with a commit. What one device says
// in one epoch is a compartment; its capsule is computed by the sender and again
// by every receiver. An [Event] is what the person is told. The outbox holds what
// the person asked for and delivery has not yet taken.
//
// # What it guarantees
//
// A message is shown only after its capsule was computed again from the epoch's
// own secrets and found at delivery byte for byte, under the sender's law, which is on
// the ledger. Otherwise it is held and the person told why. What can't be checked yet
// is held sealed and tried again; what was sealed wrongly is held for good. In both
// cases this device deposits the right capsule if there is none.
//
// Nothing that was said leaves before it is stored. After a crash at any point, or an answer
// lost, the device goes on where it was: each message has a mid, by which delivery
// knows it again, so it arrives once. What delivery leaves out, repeats, reorders or
// changes is found by counting and by MLS, and told as a [Fault].
//
// Nobody gets into a conversation whose account the directory does not prove to list the
// device with that key, under a law that is on the ledger. A device that its account
// revokes is removed before this device speaks again, and what it says is held. What
// the directory shows of an account it can't take back, and a list of the person's own
// devices that this device did not know raises an [Alarm]. An epoch is as old
// as this device's own clock says; a device renews an epoch that is too old for its
// law before it speaks.
//
// Nothing is said under a law that the person has not acknowledged: their own when they
// register, any other before the first message, and each new version when it comes into
// force ([Device.ToRead], [Device.Acknowledge]).
//
// A device does the same whether or not there is a warrant: it knows of none.
//
// # What it does not do
//
// It keeps its secrets in clear in the [Storage] it is given. It does not read the
// ledger: whoever does lends it [Laws]. It can't see messages that delivery keeps from
// it at the end of an epoch for ever, and it can't see that delivery shows other
// devices another conversation, except that such conversations no longer
// understand one another.
//
// # Example
//
//	d, err := client.Open(client.Config{Storage: s, Delivery: c, Address: url, Laws: book, Directory: dir, Now: time.Now})
//	err = d.Register(ctx, directory.Identity{Account: "anna", Device: "phone"}, law, recovery)
//	id, err := d.Create(ctx, "ben")
//	laws, err := d.Law(id)
//	for _, l := range laws { fmt.Println(l.Account, l.Explain) }
//	err = d.Send(ctx, id, "hello")
package client

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/internal/wire"
	"writ/ledger"
	"writ/mls"
)

// Suite is the only cipher suite of conversations: it keeps out a quantum
// computer too, and there is nothing to downgrade to.
const Suite = mls.XWING_CHACHA20POLY1305_SHA256_Ed25519

// MaxText is the longest message in bytes.
const MaxText = 48 << 10

const (
	maxText         = 64 << 10 // of a stored field
	maxPastEpochs   = 3        // for messages that come late
	openedExtension = 0xF0A2   // of GroupInfo: opening time of the epoch, Unix seconds
	deviceSpace     = "device"
)

var (
	// ErrUnknownLaw is wrapped when a member's charter, or its custodians' keys,
	// are not on the ledger as far as this device's Laws go.
	ErrUnknownLaw = errors.New("law not on the ledger")
	// ErrClock is wrapped when this device's clock and another one differ by more
	// than the tolerance.
	ErrClock = errors.New("clocks differ")
	// ErrDelivery is wrapped when the delivery service contradicts itself.
	ErrDelivery = errors.New("delivery contradicts itself")
	// ErrQueued is wrapped when something could not be sent yet. It is in the
	// outbox, and the next Sync tries again.
	ErrQueued = errors.New("not sent yet")
	// ErrHalted is wrapped when a conversation does not go on for this device,
	// which has told why. Nothing is sent to it; the next Sync looks again.
	ErrHalted = errors.New("the conversation does not go on")
	// ErrNoAccount is wrapped when the directory has no account of a name.
	ErrNoAccount = errors.New("the directory has no account")
	// ErrRecovery is wrapped when a recovery code is not the one that an account has now.
	ErrRecovery = errors.New("this is not the recovery code of")
	// ErrNotMember is wrapped when this device is not in the conversation.
	ErrNotMember = errors.New("not a member")
)

// Laws is what a device needs to know of the ledger: *ledger.Book is one. Its
// methods are called from any goroutine that uses the Device.
type Laws interface {
	// Charter returns a charter that is on the ledger, verified.
	Charter(h charter.Hash) (*charter.Charter, bool)
	// InForce returns the version in force of the charter of a name, as far as this
	// reader can tell.
	InForce(name string, now time.Time) (*charter.Charter, bool)
	// Keys returns the custodians' key statements that are on the ledger, in its
	// order, as charter.Charter.Access wants them.
	Keys(name string, period uint32) []*charter.KeyStatement
}

// Config is what a device is given. All fields are required unless they say
// otherwise.
type Config struct {
	Storage  Storage
	Delivery api.DeliveryClient
	// Address is delivery's URL as the deployment names it. A login is signed for it, so
	// that who is asked at a false address can't log in at the true one.
	Address string
	Laws    Laws
	// Directory says which devices an account has. It is believed as far as the device's
	// law, which names its log, its witnesses and its label key, lets it prove that.
	Directory api.DirectoryClient
	Now       func() time.Time
	// ClockTolerance is how far other members' clocks may be off; 0 means 10
	// minutes. Delivery's clock and this device's may differ by 90 seconds.
	ClockTolerance time.Duration
	// KeyPackages is how many are kept ready at delivery for others; 0 means 20.
	KeyPackages int
	// ForgetHistory keeps events only until MarkRead.
	ForgetHistory bool
}

// A Device is a person's device. It is safe for concurrent use; one thing is
// done at a time.
type Device struct {
	cfg Config

	mu      sync.Mutex // held by every exported method; guards what follows
	self    *self      // nil until Prepare
	convs   map[ConversationID]*conversation
	sealers map[sealerKey]*capsule.Sealer
	acks    map[charter.Hash]bool // laws that the person has acknowledged
	hashes  map[*charter.Charter]charter.Hash
	session session
	noted   *notices
	news    []Event // not yet given to Sync or Watch
	broken  error   // storage failed: what is in memory is not to be relied on

	logs       map[charter.Hash]*directoryLog
	checkpoint *ledger.Checkpoint // the newest of the directory's log that was accepted
	remembered []byte             // the same as it is stored, until recall reads it
	accounts   map[string]*account
	own        *directory.Chain     // the statements of the own account that this device knows
	drafted    *directory.Statement // made by this device, and perhaps not published yet
	alarms     []*Alarm             // oldest first
	changes    uint64               // how often an account changed
	refreshed  time.Time            // the last try
	unseen     map[string]bool      // accounts that looked is to look up; nil outside of it
	fresh      map[string]bool      // accounts that it has looked up
}

// self is who the device is.
type self struct {
	directory.Identity
	law        charter.Hash
	key        *mls.SignatureKey
	registered bool
}

func (s *self) encode() []byte {
	var w wire.Writer
	w.Opaque(s.Identity.Encode())
	w.Fixed(s.law[:])
	w.Opaque(s.key.Bytes())
	w.Uint8(flag(s.registered))
	return w.Bytes()
}

func parseSelf(b []byte) (*self, error) {
	r := wire.NewReader(b)
	id, err := directory.ParseIdentity(r.Opaque(4 * wire.MaxName))
	r.Check(err)
	s := &self{Identity: id, law: r.Array32()}
	key := r.Opaque(256)
	s.registered = readFlag(r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	s.key, err = mls.NewSignatureKey(Suite, key)
	return s, err
}

// Open opens the device that is in the storage, or a new one.
func Open(cfg Config) (*Device, error) {
	if cfg.Storage == nil || cfg.Delivery == nil || cfg.Address == "" || cfg.Laws == nil || cfg.Directory == nil || cfg.Now == nil {
		return nil, errors.New("client: refused: incomplete Config")
	}
	if cfg.ClockTolerance == 0 {
		cfg.ClockTolerance = 10 * time.Minute
	}
	if cfg.KeyPackages == 0 {
		cfg.KeyPackages = 20
	}
	d := &Device{cfg: cfg, logs: map[charter.Hash]*directoryLog{}, accounts: map[string]*account{}, changes: 1,
		convs: map[ConversationID]*conversation{}, sealers: map[sealerKey]*capsule.Sealer{},
		acks: map[charter.Hash]bool{}, hashes: map[*charter.Charter]charter.Hash{}}
	if err := d.load(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Device) load() error {
	records, err := d.cfg.Storage.Load(deviceSpace)
	if err != nil {
		return err
	}
	var statements [][]byte
	for _, r := range records {
		switch prefix, _ := cutKey(r.Key); prefix {
		case keyStatement: // keys are in order
			statements = append(statements, r.Value)
		case keyCheckpoint:
			d.remembered = r.Value
		}
		if err := d.loadRecord(r); err != nil {
			return fmt.Errorf("client: record %q: %w", r.Key, err)
		}
		if strings.HasPrefix(r.Key, keySelf) || strings.HasPrefix(r.Key, keyKeyPackage) {
			clear(r.Value)
		}
	}
	if len(statements) > 0 {
		if d.own, err = directory.ParseChain(statements); err != nil {
			return fmt.Errorf("client: own statements: %w", err)
		}
	}
	return nil
}

func (d *Device) loadRecord(r mls.Record) (err error) {
	switch prefix, name := cutKey(r.Key); prefix {
	case keySelf:
		d.self, err = parseSelf(r.Value)
	case keyAcknowledged:
		err = d.loadAcknowledged(name)
	case keyAccount:
		d.accounts[name], err = parseAccount(r.Value)
	case keyDrafted:
		d.drafted, err = directory.Parse(r.Value)
	case keyAlarm:
		var a *Alarm
		a, err = parseAlarm(r.Value)
		d.alarms = append(d.alarms, a)
	case keyConversation:
		var id ConversationID
		if id, err = ParseConversationID(name); err != nil {
			return err
		}
		var c *conversation
		if c, err = d.loadConversation(id); c != nil {
			d.convs[id] = c
		}
	}
	return err
}

// save stores records of a space. After a failure the device is of no more use,
// because memory may be ahead of the storage.
func (d *Device) save(space string, records []mls.Record) error {
	if d.broken == nil {
		if err := d.cfg.Storage.Apply(space, records); err != nil {
			d.broken = fmt.Errorf("client: open the device anew: %w", err)
		}
	}
	return d.broken
}

// lock begins an exported method; it fails if the device can't go on.
func (d *Device) lock() error {
	d.mu.Lock()
	if d.broken != nil {
		d.mu.Unlock()
		return d.broken
	}
	return nil
}

// Registered reports whether the device is registered at delivery.
func (d *Device) Registered() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.self != nil && d.self.registered
}

// Identity returns who the device is, zero before [Device.Prepare].
func (d *Device) Identity() directory.Identity {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.self == nil {
		return directory.Identity{}
	}
	return d.self.Identity
}
