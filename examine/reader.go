package examine

import "writ/unseal"

// ReaderKey is the private key to which custodians seal what they release.
type ReaderKey = unseal.ReaderKey

// NewReaderKey makes a reader key.
func NewReaderKey() (*ReaderKey, error) { return unseal.NewReaderKey() }

// ParseReaderKey parses [ReaderKey.Bytes].
func ParseReaderKey(b []byte) (*ReaderKey, error) { return unseal.ParseReaderKey(b) }
