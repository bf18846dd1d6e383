package engine

import (
	"context"
	"database/sql"
	"errors"
)

// keepTaken is how long a taken key package is kept for a repeated take, in
// seconds.
const keepTaken = 7 * 24 * 3600

// A KeyPackage is one key package of a device's stock.
type KeyPackage struct {
	Device string
	Suite  uint16
	Body   []byte
}

// PutKeyPackages adds key packages to the stock of one device and returns how
// many it then has. One that is known is left as it is. ErrFull, and none
// stored, if there would be more than max.
func (s *Delivery) PutKeyPackages(ctx context.Context, account, device string, list []KeyPackage, max int, now uint64) (int, error) {
	var stock int
	err := s.db.submit(ctx, func(t *tx) error {
		count := func() {
			t.row("SELECT count(*) FROM key_packages WHERE account=? AND device=? AND request IS NULL", []any{account, device}, &stock)
		}
		if count(); stock+len(list) > max {
			return ErrFull
		}
		t.exec("DELETE FROM key_packages WHERE account=? AND device=? AND taken<?", account, device, int64(now)-keepTaken)
		for _, k := range list {
			t.exec("INSERT INTO key_packages (account, device, suite, body, hash) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
				account, device, k.Suite, k.Body, hashOf(k.Body))
		}
		count()
		return nil
	})
	if err != nil {
		return 0, err
	}
	return stock, nil
}

// TakeKeyPackages takes the oldest key package of the suite from each device of
// the account that was not dropped. The same request gives the same packages again.
// ErrNotFound if there is no such account. The second result names the devices without any.
//
// Results are the committer's until it has answered: a caller that gave up reads none.
func (s *Delivery) TakeKeyPackages(ctx context.Context, account string, suite uint16, request []byte, now uint64) ([]KeyPackage, []string, error) {
	var taken []KeyPackage
	var missing []string
	var corrupt error
	err := s.db.submit(ctx, func(t *tx) error {
		devices, ok := s.deviceNames(t, account)
		if !ok {
			return ErrNotFound
		}
		if taken, corrupt = s.takenBy(t, account, request); len(taken) == 0 && corrupt == nil {
			for _, device := range devices {
				t.exec(`UPDATE key_packages SET request=?, taken=? WHERE id = (SELECT min(id) FROM key_packages
					WHERE account=? AND device=? AND suite=? AND request IS NULL)`, request, now, account, device, suite)
			}
			taken, corrupt = s.takenBy(t, account, request)
		}
		missing = without(devices, taken)
		return nil
	})
	if err == nil {
		err = corrupt // such a package stays taken
	}
	if err != nil {
		return nil, nil, err
	}
	return taken, missing, nil
}

// deviceNames returns the devices of an account that were not dropped, and whether it has
// or had any.
func (s *Delivery) deviceNames(t *tx, account string) (names []string, ok bool) {
	t.rows("SELECT device, dropped FROM devices WHERE account=? ORDER BY device", []any{account}, func(rows *sql.Rows) error {
		var name string
		var dropped bool
		err := rows.Scan(&name, &dropped)
		if ok = true; !dropped {
			names = append(names, name)
		}
		return err
	})
	return names, ok
}

// takenBy returns what a request took, or ErrCorrupt: a damaged package is an answer to
// whoever asks for it and no reason to end the store.
func (s *Delivery) takenBy(t *tx, account string, request []byte) (list []KeyPackage, corrupt error) {
	t.rows("SELECT device, suite, body, hash FROM key_packages WHERE account=? AND request=? ORDER BY device", []any{account, request}, func(rows *sql.Rows) error {
		var k KeyPackage
		var hash []byte
		if err := rows.Scan(&k.Device, &k.Suite, &k.Body, &hash); err != nil {
			return err
		}
		list, corrupt = append(list, k), errors.Join(corrupt, checkHash(k.Body, hash))
		return nil
	})
	if corrupt != nil {
		return nil, corrupt
	}
	return list, nil
}

// without returns the devices that have no key package in taken.
func without(devices []string, taken []KeyPackage) (missing []string) {
	has := map[string]bool{}
	for _, k := range taken {
		has[k.Device] = true
	}
	for _, d := range devices {
		if !has[d] {
			missing = append(missing, d)
		}
	}
	return missing
}
