// Package etsi writes and reads orders, notifications and deliveries as JSON
// messages of ETSI TS 103 120, the interface for warrant information (HI-1), so
// that systems which speak that standard can hand an order in and follow it.
//
// # Terms
//
// A message has a [Header] and actions, each with one object. An [Order] is a
// warrant as an AuthorisationObject, its task as an LDTaskObject (disclosure) or
// an LPTaskObject (preservation), and its binary form, to which the approvals
// are bound, as a DocumentObject. [Notices] are entries of the ledger as
// NotificationObjects. [Manifest] is a bundle as a DeliveryObject.
//
// # Format
//
// Members that the standard names bear its prefixes (auth, task, doc, notif,
// delivery, common) and mean what it says. What the standard has no member for
// stands where it lets nations add their own, with the prefix "writ": in
// NationalAuthorisationParameters, NationalDocumentParameters,
// NationalNotificationParameters, ApprovalNationalDetails. spec/etsi.md has the
// table, field by field, and [Counterparts] is the same table in code.
//
// # Guarantees
//
// Reading is strict. [Import] builds the warrant from a message, writes the
// message anew from it and compares: an unknown, missing or repeated member, one
// in another place, another value, a time without a zone rejects the whole, and
// the error names it by its path. So nothing that a sender wrote is passed over,
// and what is exported and imported again is the same warrant byte for byte.
//
// # What it does not do
//
// It verifies no approval and no entry: packages warrant and ledger do. It sends
// nothing. It is not held to ETSI's schema files by a test, since they are not
// part of this repository; spec/etsi.md says which names were taken from where.
//
//	b := (&etsi.Order{Header: h, Warrant: w, Salt: salt, Approvals: list, Document: true}).Export()
//	order, err := etsi.Import(b)
package etsi

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"writ/internal/wire"
)

// ErrUnsupported is wrapped by errors about a message that may be right and that
// this package does not know, beside [wire.ErrMalformed] for all others.
var ErrUnsupported = errors.New("unsupported")

// Namespaces of TS 103 120 and of this package's own members.
const (
	Core         = "http://uri.etsi.org/03120/common/2019/10/Core"
	Common       = "http://uri.etsi.org/03120/common/2016/02/Common"
	Authorised   = "http://uri.etsi.org/03120/common/2020/09/Authorisation"
	Task         = "http://uri.etsi.org/03120/common/2020/09/Task"
	Document     = "http://uri.etsi.org/03120/common/2020/09/Document"
	Notification = "http://uri.etsi.org/03120/common/2016/02/Notification"
	Delivery     = "http://uri.etsi.org/03120/common/2019/10/Delivery"
	Own          = "urn:writ:etsi:1"
)

// Version is the version of TS 103 120 that messages name.
const Version = "V1.22.1"

// owner is who defines the dictionaries that ETSI does not.
const owner = "Writ"

// MaxSize bounds a message in bytes.
const MaxSize = 4 << 20

// Party is an endpoint: a country and a name that is unique in it.
type Party struct {
	Country string // ISO 3166-1 alpha-2; XX where none is meant
	Name    string // 1 to 64 characters
}

// Header says who sends a message to whom.
type Header struct {
	Sender, Receiver Party
	Transaction      string // a UUID
	Time             time.Time
}

var (
	country = regexp.MustCompile(`^[A-Z]{2}$`)
	name    = regexp.MustCompile(`^[A-Za-z0-9 ._@-]{1,64}$`)
	uuid    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// object is a JSON object.
type object = map[string]any

// message frames objects, each in an action of the given kind.
func (h *Header) message(objects []object) object {
	actions := []any{}
	for i, o := range objects {
		actions = append(actions, object{"ActionIdentifier": i, "CREATE": object{"HI1Object": o}})
	}
	m := namespaces()
	m["Header"] = object{
		"SenderIdentifier":      h.Sender.object(),
		"ReceiverIdentifier":    h.Receiver.object(),
		"TransactionIdentifier": h.Transaction,
		"Timestamp":             stamp(h.Time),
		"Version":               object{"ETSIVersion": Version, "NationalProfileOwner": owner, "NationalProfileVersion": "1"},
	}
	m["Payload"] = object{"RequestPayload": object{"ActionRequests": object{"ActionRequest": actions}}}
	return m
}

func namespaces() object {
	return object{"@xmlns": Core, "@xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance", "@xmlns:common": Common,
		"@xmlns:auth": Authorised, "@xmlns:task": Task, "@xmlns:doc": Document, "@xmlns:notif": Notification, "@xmlns:writ": Own}
}

func (p Party) object() object {
	return object{"CountryCode": p.Country, "UniqueIdentifier": p.Name}
}

// hi1 begins an object of a type, about others.
func (h *Header) hi1(namespace, kind, id string, associated ...string) object {
	o := object{"@xsi:type": "{" + namespace + "}" + kind, "ObjectIdentifier": id,
		"CountryCode": h.Sender.Country, "OwnerIdentifier": h.Sender.Name}
	if len(associated) > 0 {
		o["AssociatedObjects"] = object{"AssociatedObject": associated}
	}
	return o
}

// national begins a set of own members.
func (h *Header) national(prefix, kind string) object {
	return object{"@xsi:type": "{" + Own + "}" + kind, prefix + ":CountryCode": h.Sender.Country}
}

// entry is a value of a dictionary.
func entry(owner, dictionary, value string) object {
	return object{"common:Owner": owner, "common:Name": dictionary, "common:Value": value}
}

// stamp writes a time as QualifiedMicrosecondDateTime of TS 103 280.
func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

const stampLayout = "2006-01-02T15:04:05.000000Z"

// header reads a message's header.
func header(m any) (h Header, err error) {
	r := reader{root: m}
	h.Sender, h.Receiver = r.party("Header", "SenderIdentifier"), r.party("Header", "ReceiverIdentifier")
	h.Transaction = r.match(uuid, "Header", "TransactionIdentifier")
	text := r.text("Header", "Timestamp")
	if h.Time, err = time.Parse(stampLayout, text); err != nil || stamp(h.Time) != text {
		r.fail([]string{"Header", "Timestamp"}, "not a time in UTC with six decimals and a Z")
	}
	return h, r.err
}

// derived is an identifier of an object that has none of its own: a UUID of
// version 8 (RFC 9562 section 5.8) over what names it.
func derived(kind string, of []byte) string {
	sum := wire.Hash("etsi object", []byte(kind), of)
	return formatUUID([16]byte(sum[:16]))
}

func formatUUID(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
