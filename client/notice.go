package client

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"writ/capsule"
	"writ/ledger"
	"writ/mls"
	"writ/notice"
	"writ/notice/beacon"
	"writ/warrant"
)

// noticeSpace is the space of what a device must never forget, lest its person is
// not told: the hash and label of every capsule of its conversations, those it
// left included, the salts of notices that were opened, and the cards.
const noticeSpace = "notices"

// Keys of the records in it.
const (
	keyMine = "mine/" // + page: capsules, minePage of them
	keySalt = "salt/" // + number: the salts that one check brought
	keyCard = "card/" // + index of the request
)

// minePage is how many capsules one record holds: so few that adding one is
// cheap.
const minePage = 64

// notices is what the device keeps in noticeSpace.
type notices struct {
	mine  []notice.Compartment
	known map[capsule.Hash]bool
	salts map[ledger.EntryHash]opened // of requests whose round came
	files uint64                      // records of salts
	cards map[uint64]*card            // by index of the request
}

// opened is the salt of a request, and how many of mine were matched with it.
type opened struct {
	salt    [32]byte
	void    bool // the timelock doesn't open: no custodian released anything for it
	matched int  // not stored: after a restart all are matched again
}

// notebook loads what is kept, once.
func (d *Device) notebook() (*notices, error) {
	if d.noted != nil {
		return d.noted, nil
	}
	records, err := d.cfg.Storage.Load(noticeSpace)
	if err != nil {
		return nil, err
	}
	n := &notices{known: map[capsule.Hash]bool{}, salts: map[ledger.EntryHash]opened{}, cards: map[uint64]*card{}}
	for _, r := range records {
		if err := n.load(r); err != nil {
			return nil, fmt.Errorf("client: record %q: %w", r.Key, err)
		}
	}
	d.noted = n
	return n, nil
}

func (n *notices) load(r mls.Record) (err error) {
	switch prefix, _ := cutKey(r.Key); prefix {
	case keyMine:
		var page []notice.Compartment
		page, err = parseCompartments(r.Value)
		n.add(page...)
	case keySalt:
		n.files++
		err = n.parseSalts(r.Value)
	case keyCard:
		var c *card
		if c, err = parseCard(r.Value); err == nil {
			n.cards[c.request.Index] = c
		}
	}
	return err
}

func (n *notices) add(list ...notice.Compartment) {
	for _, x := range list {
		n.known[x.Hash] = true
		n.mine = append(n.mine, x)
	}
}

// remember keeps a capsule's hash and label for good, before anything rests on
// the compartment: afterwards the epoch's secrets are gone, and the hash can't be
// computed again.
func (d *Device) remember(c *capsule.Capsule) error {
	n, err := d.notebook()
	if err != nil || n.known[c.Hash()] {
		return err
	}
	page := len(n.mine) / minePage
	list := append(slices.Clone(n.mine[page*minePage:]), notice.Compartment{Hash: c.Hash(), Label: c.Label()})
	if err := d.save(noticeSpace, []mls.Record{{Key: numbered(keyMine, uint64(page)), Value: encodeCompartments(list)}}); err != nil {
		return err
	}
	n.add(list[len(list)-1])
	return nil
}

// CheckNotices finds the person's own openings among the requests whose round has
// come, each with its signature: all of them, in the ledger's order. It asks
// nobody, so nobody learns who was opened. Each request costs one opening of a
// timelock once, and one hash for each capsule of the device's conversations that
// it was not matched with. It returns the cards that are new or have grown, and those
// of which the ledger says since that they were an error, were reviewed or not in time, or
// were opened only now. They stay in [Device.Cards] until they are acknowledged, and
// after.
func (d *Device) CheckNotices(due []ledger.Notice) ([]Card, error) {
	if err := d.lock(); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	n, err := d.notebook()
	if err != nil {
		return nil, err
	}
	var records []mls.Record
	if fresh := n.unlock(due); len(fresh) > 0 {
		records = append(records, mls.Record{Key: numbered(keySalt, n.files), Value: n.encodeSalts(fresh)})
		n.files++
	}
	changed, told, err := n.follow(due)
	grown, matchErr := n.match(due)
	err = errors.Join(err, matchErr)
	for _, c := range n.latest(changed, grown) {
		records = append(records, mls.Record{Key: numbered(keyCard, c.request.Index), Value: c.encode()})
	}
	if len(records) > 0 {
		err = errors.Join(err, d.save(noticeSpace, records))
	}
	return cardsOf(n.latest(told, grown)), err
}

// latest returns the cards of the requests of two lists, each once.
func (n *notices) latest(a, b []*card) (list []*card) {
	for _, c := range slices.Concat(a, b) {
		if now := n.cards[c.request.Index]; !slices.Contains(list, now) {
			list = append(list, now)
		}
	}
	return list
}

// unlock opens the timelocks that were not opened before, on all processors, and
// returns their requests.
func (n *notices) unlock(due []ledger.Notice) (fresh []ledger.EntryHash) {
	var work []ledger.Notice
	for _, x := range due {
		if _, ok := n.salts[x.Request.Hash]; !ok && x.Signature != nil {
			work = append(work, x)
			fresh = append(fresh, x.Request.Hash)
		}
	}
	found := make([]opened, len(work))
	var waiting sync.WaitGroup
	for lane := range runtime.GOMAXPROCS(0) {
		waiting.Go(func() {
			for i := lane; i < len(work); i += runtime.GOMAXPROCS(0) {
				salt, err := beacon.Unlock(work[i].Request.Timelock, work[i].Signature)
				found[i] = opened{salt: salt, void: err != nil}
			}
		})
	}
	waiting.Wait()
	for i, h := range fresh {
		n.salts[h] = found[i]
	}
	return fresh
}

// match makes or extends the card of each request that lists a capsule it was not
// matched with before.
func (n *notices) match(due []ledger.Notice) (grown []*card, err error) {
	hashes := make([]capsule.Hash, len(n.mine))
	for i := range n.mine {
		hashes[i] = n.mine[i].Hash
	}
	for _, x := range due {
		o := n.salts[x.Request.Hash]
		if o.void || o.matched >= len(hashes) {
			continue
		}
		places := notice.Match(x.Request.Leaves, o.salt, hashes[o.matched:])
		var list []notice.Compartment
		for _, i := range places {
			list = append(list, n.mine[o.matched+i])
		}
		o.matched = len(hashes)
		n.salts[x.Request.Hash] = o
		c, cardErr := n.extend(x, list)
		err = errors.Join(err, cardErr)
		if c != nil {
			grown = append(grown, c)
		}
	}
	return grown, err
}

// extend returns the card of a request with further compartments, nil if there
// are none that it did not have.
func (n *notices) extend(x ledger.Notice, list []notice.Compartment) (*card, error) {
	old := n.cards[x.Request.Index]
	if old != nil {
		list = slices.DeleteFunc(list, old.has)
	}
	if len(list) == 0 {
		return nil, nil
	}
	next := &card{law: x.Law, warrant: x.Warrant, request: x.Request, signature: x.Signature, sequel: x.Sequel, opened: list}
	if old != nil {
		next.sequel = merge(old.sequel, x.Sequel)
		next.opened = append(slices.Clone(old.opened), list...)
		next.shown, next.salt = old.shown, old.salt
	}
	if _, err := next.card(); err != nil {
		return nil, fmt.Errorf("client: notice of request %d: %w", x.Request.Index, err)
	}
	n.cards[x.Request.Index] = next
	return next, nil
}

// Card is a notice to the person: what was opened under a warrant.
type Card struct {
	*notice.Card
	Acknowledged bool // by the person, on this device
}

// Cards returns all cards, the oldest first.
func (d *Device) Cards() ([]Card, error) {
	if err := d.lock(); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	n, err := d.notebook()
	if err != nil {
		return nil, err
	}
	var list []*card
	for _, index := range sortedKeys(n.cards) {
		list = append(list, n.cards[index])
	}
	return cardsOf(list), nil
}

func cardsOf(list []*card) []Card {
	var cards []Card
	for _, c := range list {
		if x, err := c.card(); err == nil { // it was made before it was stored
			cards = append(cards, Card{x, c.acknowledged})
		}
	}
	slices.SortStableFunc(cards, func(a, b Card) int { return cmp.Compare(a.RequestEntry, b.RequestEntry) })
	return cards
}

// ErrNoCard is wrapped where there is no card of a request.
var ErrNoCard = errors.New("no notice of that request")

// AcknowledgeNotice notes that the person has seen the card of a request. The card
// stays.
func (d *Device) AcknowledgeNotice(request uint64) error {
	return d.changeCard(request, func(c *card) error { c.acknowledged = true; return nil })
}

// ShowWarrant adds the readable warrant that somebody gave the person to the card
// of a request. It refuses any but the one on the ledger.
func (d *Device) ShowWarrant(request uint64, w *warrant.Warrant, salt [32]byte) error {
	return d.changeCard(request, func(c *card) error { c.shown, c.salt = w, salt; return nil })
}

func (d *Device) changeCard(request uint64, change func(*card) error) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.mu.Unlock()
	n, err := d.notebook()
	if err != nil {
		return err
	}
	old := n.cards[request]
	if old == nil {
		return fmt.Errorf("client: request %d: %w", request, ErrNoCard)
	}
	next := *old
	if err := change(&next); err != nil {
		return err
	}
	if _, err := next.card(); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if err := d.save(noticeSpace, []mls.Record{{Key: numbered(keyCard, request), Value: next.encode()}}); err != nil {
		return err
	}
	n.cards[request] = &next
	return nil
}
