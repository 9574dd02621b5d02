package devices

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestReserve(t *testing.T) {
	lock := LockIn(t.TempDir())
	release, err := Reserve(t.Context(), lock)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	got := make(chan error)
	go func() { // Windows lets one thread have the same mutex twice
		_, err := Reserve(short, lock)
		got <- err
	}()
	if err := <-got; !errors.Is(err, ErrInUse) {
		t.Errorf("reserved twice: %v", err)
	}
	go func() {
		release, err := Reserve(t.Context(), lock)
		if err == nil {
			release()
		}
		got <- err
	}()
	release()
	if err := <-got; err != nil {
		t.Errorf("not free after its release: %v", err)
	}
}

func TestReserveLockRemovedMeanwhile(t *testing.T) {
	lock := LockIn(t.TempDir())
	if filepath.IsLocal(lock) {
		t.Skip("SKIP: the lock is no file on this system")
	}
	release, err := Reserve(t.Context(), lock)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	again, err := Reserve(t.Context(), lock) // whoever comes now agrees on the new file
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestReserveWithoutAFolder(t *testing.T) {
	lock := LockIn(filepath.Join(t.TempDir(), "missing"))
	if filepath.IsLocal(lock) {
		t.Skip("SKIP: the lock is no file on this system")
	}
	if _, err := Reserve(t.Context(), lock); err == nil || errors.Is(err, ErrInUse) {
		t.Errorf("%v", err)
	}
}

// Owners of one process share the lock; whoever else wants it waits for the last.
func TestLockIsShared(t *testing.T) {
	name := LockIn(t.TempDir())
	l := NewLock(name)
	busy := func() bool {
		short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		got := make(chan error)
		go func() {
			release, err := Reserve(short, name)
			if err == nil {
				release()
			}
			got <- err
		}()
		return errors.Is(<-got, ErrInUse)
	}
	for range 2 { // and again after it was free
		one, err := l.Reserve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		two, err := l.Reserve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		one()
		if !busy() {
			t.Error("free while one still holds it")
		}
		two()
		if busy() {
			t.Error("not free after the last")
		}
	}
	other, err := Reserve(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer other()
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := NewLock(name).Reserve(short); !errors.Is(err, ErrInUse) {
		t.Errorf("taken beside another program: %v", err)
	}
}
