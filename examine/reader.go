package examine

import "writ/unseal"

// ReaderKey is the private key to which custodians seal what they release.
type ReaderKey = unseal.ReaderKey

// NewReaderKey makes a reader key.
func NewReaderKey() (*ReaderKey, error) { return unseal.NewReaderKey() }

// ParseReaderKey parses [ReaderKey.Bytes].
func ParseReaderKey(b []byte) (*ReaderKey, error) { return unseal.ParseReaderKey(b) }

// Reason is the code of a custodian's refusal, as the ledger states it; its
// String is a sentence.
type Reason = unseal.Reason
