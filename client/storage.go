package client

import (
	"maps"
	"slices"
	"sync"

	"writ/mls"
)

// Storage keeps a device's records. A space is a set of records that change
// together: one for the device, one for each conversation.
//
// Whoever holds what Storage holds is the device: its secrets are in it in
// clear. Only one Device may use it at a time, since two would use the same
// message keys.
type Storage interface {
	// Load returns the records of a space, sorted by key; none if it has none.
	Load(space string) ([]mls.Record, error)
	// Apply puts each record, or deletes it if its Value is nil: all or nothing,
	// durable when it returns, and with what was replaced or deleted overwritten.
	// After an error the outcome is unknown, and the Storage has to be opened anew.
	Apply(space string, records []mls.Record) error
}

// maxRecord is the largest record in bytes.
const maxRecord = 32 << 20

// Memory is a Storage that ends with the process: a device for one session.
type Memory struct {
	mu     sync.Mutex
	spaces map[string]map[string][]byte
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{spaces: map[string]map[string][]byte{}} }

// Load is Storage.Load.
func (m *Memory) Load(space string) ([]mls.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var records []mls.Record
	for _, key := range slices.Sorted(maps.Keys(m.spaces[space])) {
		records = append(records, mls.Record{Key: key, Value: slices.Clone(m.spaces[space][key])})
	}
	return records, nil
}

// Apply is Storage.Apply.
func (m *Memory) Apply(space string, records []mls.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spaces[space] == nil {
		m.spaces[space] = map[string][]byte{}
	}
	for _, r := range records {
		clear(m.spaces[space][r.Key])
		delete(m.spaces[space], r.Key)
		if r.Value != nil {
			m.spaces[space][r.Key] = append([]byte{}, r.Value...)
		}
	}
	return nil
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
