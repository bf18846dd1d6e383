// Package keyfile keeps private keys on a disk under a passphrase: in an age file
// (age-encryption.org/v1) whose only recipient is the passphrase (scrypt).
//
// Whoever reads the file finds the old or the new content whole, and after
// [Write] returned the new one, even if the machine fails. Bytes of the old file
// are overwritten, which a disk or file system that keeps copies may not honour.
package keyfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// Work factors of scrypt, as the logarithm of its cost. 18 takes about a second.
const (
	DefaultWorkFactor = 18
	maxWorkFactor     = 22
)

// MaxSize is the longest content in bytes.
const MaxSize = 1 << 20

// ErrPassphrase is wrapped by the error of a wrong passphrase, ErrMalformed by that of a
// file that is none, or damaged.
var (
	ErrPassphrase = errors.New("refused: the passphrase doesn't open the key file")
	ErrMalformed  = errors.New("malformed")
)

// CheckWork refuses a work factor with which nothing is written, or not read again. 0 means
// [DefaultWorkFactor].
func CheckWork(work int) error {
	if work < 0 || work > maxWorkFactor {
		return fmt.Errorf("keyfile: refused: work factor %d, it is 1 to %d", work, maxWorkFactor)
	}
	return nil
}

// Read decrypts a key file. The caller erases what it returns.
func Read(path string, passphrase []byte) ([]byte, error) {
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	identity, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("keyfile: refused: %w", err)
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, fmt.Errorf("keyfile: %s: %w", path, ErrPassphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w: %s: %w", ErrMalformed, path, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err == nil && len(plain) > MaxSize {
		err = fmt.Errorf("more than %d bytes", MaxSize)
	}
	if err != nil {
		clear(plain)
		return nil, fmt.Errorf("keyfile: %w: %s: %w", ErrMalformed, path, err)
	}
	return plain, nil
}

// Write puts the encryption of plain, at most [MaxSize] bytes, in place of the key file:
// of more it writes nothing. Work is scrypt's work factor; 0 means [DefaultWorkFactor].
func Write(path string, passphrase []byte, work int, plain []byte) (err error) {
	if err := CheckWork(work); err != nil {
		return err
	}
	if len(plain) > MaxSize {
		return fmt.Errorf("keyfile: refused: %d bytes, at most %d are read again", len(plain), MaxSize)
	}
	sealed, err := seal(passphrase, cmp.Or(work, DefaultWorkFactor), plain)
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	old, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("keyfile: %w", err)
	}
	if old != nil {
		defer func() { err = errors.Join(err, old.Close()) }()
	}
	if err := writeSynced(path+".new", sealed); err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	return overwrite(old)
}

func seal(passphrase []byte, work int, plain []byte) ([]byte, error) {
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
		return fmt.Errorf("keyfile: %w", err)
	}
	_, err = f.WriteAt(make([]byte, info.Size()), 0)
	return errors.Join(err, f.Sync())
}
