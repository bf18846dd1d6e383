package custodian

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// keyFile is the name of the file with a custodian's private keys: an age file
// (age-encryption.org/v1) whose only recipient is a passphrase (scrypt).
const keyFile = "keys.age"

// Work factors of scrypt, as the logarithm of its cost. 18 takes about a second.
const (
	DefaultWorkFactor = 18
	maxWorkFactor     = 22
)

const maxKeyFile = 1 << 20

// ErrPassphrase is the error of a wrong passphrase.
var ErrPassphrase = errors.New("custodian: refused: the passphrase doesn't open " + keyFile)

// readKeyFile decrypts the key file of a directory. The caller erases what it
// returns.
func readKeyFile(dir string, passphrase []byte) ([]byte, error) {
	path := filepath.Join(dir, keyFile)
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("custodian: %w", err)
	}
	identity, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("custodian: refused: %w", err)
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("custodian: malformed: %s: %w", path, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxKeyFile))
	if err != nil {
		clear(plain)
		return nil, fmt.Errorf("custodian: malformed: %s: %w", path, err)
	}
	return plain, nil
}

// writeKeyFile puts the encryption of plain in place of the key file: whoever
// reads it finds the old or the new one whole, and after writeKeyFile returned
// the new one, even if the machine fails. The old file's bytes are overwritten,
// which a disk or file system that keeps copies may not honour.
func writeKeyFile(dir string, passphrase []byte, work int, plain []byte) (err error) {
	sealed, err := sealKeyFile(passphrase, work, plain)
	if err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	path := filepath.Join(dir, keyFile)
	old, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("custodian: %w", err)
	}
	if old != nil {
		defer func() { err = errors.Join(err, old.Close()) }()
	}
	if err := writeSynced(path+".new", sealed); err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	return overwrite(old)
}

func sealKeyFile(passphrase []byte, work int, plain []byte) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(work)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// overwrite writes zeros over a file that no name leads to any more.
func overwrite(f *os.File) error {
	if f == nil {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("custodian: %w", err)
	}
	_, err = f.WriteAt(make([]byte, info.Size()), 0)
	return errors.Join(err, f.Sync())
}
