package client

import (
	"bytes"
	"fmt"
	"time"

	"writ/directory"
	"writ/internal/wire"
	"writ/mls"
)

// account is what a device keeps of an account's statements: enough that nobody can
// take one back, and to judge leaves without asking again.
type account struct {
	pin      directory.Pin
	seen     time.Time        // of the checkpoint under which it was looked up
	devices  []known          // all that were ever listed
	compared directory.Pin    // the newest statement when safety numbers were compared
	shown    [2]directory.Pin // and when one was shown last: this account's and the own one's
}

// known is a device that some statement of an account listed.
type known struct {
	directory.Device
	listed bool // in the newest
}

// standing says what an account's statements say of a device with a key.
type standing uint8

const (
	unknown standing = iota // no statement lists it
	listed                  // the newest does
	dropped                 // an earlier one does
)

func (a *account) standing(device string, key []byte) standing {
	for _, k := range a.devices {
		switch {
		case k.Name != device || !bytes.Equal(k.Key[:], key):
		case k.listed:
			return listed
		default:
			return dropped
		}
	}
	return unknown
}

func (a *account) encode() []byte {
	var w wire.Writer
	for _, p := range []directory.Pin{a.pin, a.compared, a.shown[0], a.shown[1]} {
		w.Uint64(p.Version)
		w.Fixed(p.Hash[:])
	}
	w.Uint64(uint64(a.seen.Unix()))
	w.Vector(func(w *wire.Writer) {
		for _, k := range a.devices {
			w.String(k.Name)
			w.Fixed(k.Key[:])
			w.Uint64(k.Added)
			w.Uint8(flag(k.listed))
		}
	})
	return w.Bytes()
}

func parseAccount(b []byte) (*account, error) {
	r := wire.NewReader(b)
	pin := func() directory.Pin { return directory.Pin{Version: r.Uint64(), Hash: r.Array32()} }
	a := &account{pin: pin(), compared: pin(), shown: [2]directory.Pin{pin(), pin()}, seen: time.Unix(int64(r.Uint64()), 0)}
	v := r.Vector(maxRecord)
	for v.More() {
		a.devices = append(a.devices, known{directory.Device{Name: v.Name(), Key: v.Array32(), Added: v.Uint64()}, readFlag(v)})
	}
	r.Check(v.Done())
	return a, r.Done()
}

// keep stores what a look-up proved, and tells if an account changed its devices since
// the person compared safety numbers.
func (d *Device) keep(v *directory.Verified, seen time.Time) error {
	old := d.accounts[v.Account()]
	if old == nil {
		old = &account{}
	}
	a := &account{pin: v.Pin(), seen: seen, compared: old.compared, shown: old.shown, devices: old.devices}
	if a.pin != old.pin {
		a.devices = history(v.Chain())
		d.changes++
	}
	if c := a.compared; c.Version > 0 && a.pin != old.pin {
		if err := d.tellChanged(v, c); err != nil {
			return err
		}
	}
	return d.keepAccount(v.Account(), a)
}

func (d *Device) keepAccount(name string, a *account) error {
	d.accounts[name] = a
	return d.save(deviceSpace, []mls.Record{{Key: keyAccount + name, Value: a.encode()}})
}

// history returns all devices that a chain's statements list.
func history(c *directory.Chain) (all []known) {
	if c == nil {
		return nil
	}
	for version := uint64(1); version <= c.Version(); version++ {
		for _, dev := range c.Statement(version).Devices {
			if _, ok := find(all, dev.Name); !ok { // a name never comes back with another key
				_, now := c.Newest().Device(dev.Name)
				all = append(all, known{dev, now})
			}
		}
	}
	return all
}

func find(all []known, name string) (known, bool) {
	for _, k := range all {
		if k.Name == name {
			return k, true
		}
	}
	return known{}, false
}

func (d *Device) tellChanged(v *directory.Verified, since directory.Pin) error {
	text := fmt.Sprintf("%s changed devices since you compared safety numbers (then version %d).", v.Account(), since.Version)
	c := v.Chain()
	for version := since.Version; version < c.Version(); version++ {
		for _, change := range directory.Changes(c.Statement(version), c.Statement(version+1)) {
			text += " " + change
		}
	}
	return d.raise(v.Account(), text+" If you did not expect it, ask; then compare safety numbers again.")
}
