package engine

import (
	"context"
	"database/sql"
)

// A Disclosure is the record of one page that was handed out under a warrant.
type Disclosure struct {
	ID           uint64   // in the order they came; set on reading
	Warrant      [32]byte // the warrant's hash
	At           uint64   // Unix seconds
	Compartments uint32
	Messages     uint32
}

// PutDisclosure adds a record. There is no way to change or remove one.
func (s *Delivery) PutDisclosure(ctx context.Context, d Disclosure) error {
	return s.db.submit(ctx, func(t *tx) error {
		t.exec("INSERT INTO disclosures (warrant, at, compartments, messages) VALUES (?, ?, ?, ?)", d.Warrant[:], d.At, d.Compartments, d.Messages)
		return nil
	})
}

// Disclosures returns at most limit records after an id, in order.
func (s *Delivery) Disclosures(ctx context.Context, after uint64, limit int) ([]Disclosure, error) {
	var list []Disclosure
	err := s.db.query(ctx, "SELECT id, warrant, at, compartments, messages FROM disclosures WHERE id>? ORDER BY id LIMIT ?", []any{after, limit},
		func(rows *sql.Rows) error {
			var d Disclosure
			var warrant []byte
			if err := rows.Scan(&d.ID, &warrant, &d.At, &d.Compartments, &d.Messages); err != nil {
				return err
			}
			if copy(d.Warrant[:], warrant) != 32 {
				return ErrCorrupt
			}
			list = append(list, d)
			return nil
		})
	if err != nil {
		return nil, err
	}
	return list, nil
}
