package etsi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"writ/bundle"
	"writ/ledger"
	"writ/warrant"
)

// Notices tell the receiver of an order what the ledger says of it: its entry, its
// cancellation or review, requests, releases, refusals, holds and their ends, readings,
// errors, and the rounds at which its person is told.
type Notices struct {
	Header  Header
	Warrant warrant.ID
	Logged  []Logged
}

// Logged is an entry of the ledger.
type Logged struct {
	Index uint64
	Entry []byte    // ledger.Entry.Bytes
	Seen  time.Time // when the sender first saw it there
}

// Export writes the message, indented. The entries must parse.
func (n *Notices) Export() ([]byte, error) {
	objects := []object{}
	for _, l := range n.Logged {
		o, err := n.notification(l)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return bundle.EncodeJSON(n.Header.message(objects)), nil
}

func (n *Notices) notification(l Logged) (object, error) {
	e, err := ledger.ParseEntry(l.Entry)
	if err != nil {
		return nil, fmt.Errorf("etsi: entry %d: %w", l.Index, err)
	}
	h := e.Hash()
	o := n.Header.hi1(Notification, "NotificationObject", derived("notification", h[:]), formatUUID(n.Warrant))
	o["notif:NotificationDetails"] = fmt.Sprintf("%s, entry %d of the public ledger", e.Type(), l.Index)
	o["notif:NotificationType"] = entry(owner, "NotificationType", e.Type().String())
	o["notif:NewNotification"] = true
	o["notif:NotificationTimestamp"] = stamp(l.Seen)
	own := n.Header.national("notif", "WritNotificationParameters")
	own["writ:index"], own["writ:entry"] = l.Index, base64.StdEncoding.EncodeToString(l.Entry)
	o["notif:NationalNotificationParameters"] = own
	return o, nil
}

// ImportNotices reads notices about the order of a warrant. It verifies no entry
// and no proof.
func ImportNotices(b []byte, about warrant.ID) (*Notices, error) {
	tree, err := parse(b)
	if err != nil {
		return nil, err
	}
	n := &Notices{Warrant: about}
	if n.Header, err = header(tree); err != nil {
		return nil, err
	}
	list, err := actions(tree)
	if err != nil {
		return nil, err
	}
	for i, o := range list {
		l, err := readLogged(o)
		if err != nil {
			return nil, fmt.Errorf("notification %d: %w", i+1, err)
		}
		n.Logged = append(n.Logged, l)
	}
	again, err := n.Export()
	if err != nil {
		return nil, err
	}
	want, err := parse(again)
	if err != nil {
		return nil, err
	}
	if err := compare("", tree, want); err != nil {
		return nil, err
	}
	return n, nil
}

func readLogged(o any) (l Logged, err error) {
	r := reader{root: o}
	own := []string{"notif:NationalNotificationParameters"}
	if l.Entry, err = base64.StdEncoding.Strict().DecodeString(r.text(append(slices.Clone(own), "writ:entry")...)); err != nil {
		r.fail(own, "writ:entry is not base64")
	}
	number, _ := r.at(append(slices.Clone(own), "writ:index")...).(json.Number)
	if l.Index, err = strconv.ParseUint(string(number), 10, 64); err != nil {
		r.fail(own, "writ:index is not a number")
	}
	if l.Seen, err = time.Parse(stampLayout, r.text("notif:NotificationTimestamp")); err != nil {
		r.fail([]string{"notif:NotificationTimestamp"}, "not a time in UTC with six decimals and a Z")
	}
	return l, r.err
}
