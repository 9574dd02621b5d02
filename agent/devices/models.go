package devices

import (
	"fmt"
	"time"
)

// Link is how a device shows itself to the computer.
type Link string

// The links that fiscal devices are known to use. No model is known to be a HID.
const (
	LinkUnknown  Link = ""             // not public
	LinkACM      Link = "CDC-ACM"      // a virtual serial port: COM3, /dev/ttyACM0
	LinkFTDI     Link = "FTDI"         // a serial converter: COM3, /dev/ttyUSB0
	LinkBulk     Link = "USB direto"   // no port; the maker's library speaks USB itself
	LinkEthernet Link = "rede por USB" // a network card appears
)

// Grade is how sure a statement is, as in the dossiers.
type Grade string

// The grades.
const (
	GradeA Grade = "A" // read in a maker's artefact, or two independent sources agree
	GradeB Grade = "B" // one decent source
	GradeC Grade = "C" // inferred, or the sources disagree
)

// USB is an identity that a model is known to show.
type USB struct {
	Vendor  uint16
	Product uint16 // 0 stands for every product of the vendor
	Link    Link
	Generic bool // devices that have nothing to do with SAT show the same
	Grade   Grade
}

// String is the identity as lsusb writes it: 0b1b:0108, or 0403:* for a whole vendor.
func (u USB) String() string {
	if u.Product == 0 {
		return fmt.Sprintf("%04x:*", u.Vendor)
	}
	return fmt.Sprintf("%04x:%04x", u.Vendor, u.Product)
}

// Library is the name of a file through which programs reach a device.
type Library struct {
	System string // as runtime.GOOS: windows or linux
	Bits   int    // 32 or 64; 0 where the sources do not say
	Name   string // on Linux without the version that may follow: libdllsat.so
}

// Convention is how functions of a 32-bit Windows library are called. Elsewhere
// there is only one way.
type Convention string

// The conventions.
const (
	Stdcall Convention = "stdcall"
	Cdecl   Convention = "cdecl"
)

// Model is what is known of one model of fiscal device. Deadlines are not here:
// those of sat.Function are the slowest maker's, and no model needs longer ones
// (sat-interface 1.8).
type Model struct {
	Maker, Name string
	USB         []USB // empty where no identity is public
	Libraries   []Library
	Companions  []string // files that the library needs beside it, and the driver's setup file
	Sometimes   []string // files that only some versions need, or that serve other ends
	Convention  Convention
	Free        string        // function that takes each returned text back; "" when nobody frees it
	KeepAlive   time.Duration // ask something harmless this often, lest it fall asleep; 0 when not needed
	Quirks      []string      // pt-BR, one sentence each
	Grade       Grade         // of the libraries and the convention
	Source      string        // sections of the dossiers
}

// String is maker and model, as people say it.
func (m Model) String() string { return m.Maker + " " + m.Name }

// Models is the table of makers and models. Evidence: device-link.md 1.1 to 1.4,
// sat-interface.md 1.2 to 1.4, 6.5 and 7.
func Models() []Model {
	var all []Model
	for _, of := range []func() []Model{bematech, elgin, sweda, tanca, controlID, urano, dimep, gertec, others, mfe} {
		all = append(all, of()...)
	}
	return all
}

// named makes one row per model out of what the maker's models share.
func named(shared Model, names ...string) []Model {
	var rows []Model
	for _, name := range names {
		shared.Name = name
		rows = append(rows, shared)
	}
	return rows
}

func dll(bits int, name string) Library { return Library{"windows", bits, name} }
func so(bits int, name string) Library  { return Library{"linux", bits, name} }

// gadgetSerial is the identity of every Linux gadget that offers a serial port;
// five makers use it, and so do displays, modems and instruments.
func gadgetSerial(g Grade) USB { return USB{0x0525, 0xa4a7, LinkACM, true, g} }

func bematech() []Model {
	rows := named(Model{
		Maker: "Bematech",
		Libraries: []Library{dll(32, "BemaSAT32.dll"), dll(64, "BemaSAT64.dll"), dll(0, "BemaSAT.dll"),
			so(0, "libbemasat.so"), so(32, "libBemaSAT32.so"), so(0, "libdllsat.so")},
		Companions: []string{"bemasat.xml"},
		Convention: Stdcall,
		Quirks: []string{
			"O arquivo bemasat.xml é procurado na pasta do programa ou em System32 e SysWOW64.",
			"A biblioteca do Windows não tem ConsultarUltimaSessaoFiscal.",
			"As mensagens vêm em Latin-1.",
			"A biblioteca atual da Elgin também atende este modelo.",
		},
		Grade:  GradeA,
		Source: "device-link 1.1, 1.3; sat-interface 1.2, 1.3, 1.6",
	}, "RB-1000", "RB-2000", "SAT GO")
	for i, product := range []uint16{0x0108, 0x0109, 0x0110} {
		rows[i].USB = []USB{{0x0b1b, product, LinkACM, false, GradeA}}
	}
	return rows
}

func elgin() []Model {
	shared := Model{
		Maker: "Elgin",
		// Which identity belongs to Linker I and which to II is not public.
		USB: []USB{{0x0525, 0xa4a6, LinkBulk, true, GradeB}, gadgetSerial(GradeB)},
		Libraries: []Library{dll(32, "dllsat.dll"), dll(64, "dllsat.dll"),
			so(32, "libdllsat.so"), so(64, "libdllsat.so"),
			so(64, "libsatprotocolELGIN64bits.so"), so(0, "libsatelgin.so")},
		Companions: []string{"sat-config.ini"},
		Sometimes:  []string{"zlib.dll", "libstdc++-6.dll"},
		Convention: Stdcall,
		Quirks: []string{
			"Sem equipamento, a biblioteca responde 9999 com quatro dígitos e três campos.",
			"Com a conexão contínua ligada, nenhum outro programa alcança o equipamento.",
			"Só as bibliotecas antigas precisam de zlib.dll e libstdc++-6.dll.",
		},
		Grade:  GradeA,
		Source: "device-link 1.1 a 1.4; sat-interface 1.2 a 1.4",
	}
	rows := named(shared, "Linker SAT I", "Linker SAT II", "SMART SAT")
	rows[0].KeepAlive = 10 * time.Minute
	rows[0].Quirks = append([]string{"Depois de horas parado pode não responder até ser religado; suspeita-se da economia de energia do USB."}, shared.Quirks...)
	rows[2].USB = []USB{{0x2fe7, 0x0001, LinkBulk, false, GradeA}}
	rows[2].Quirks = append([]string{"Vem com cabo USB em Y: consome 370 mA em média."}, shared.Quirks...)
	return rows
}

func sweda() []Model {
	return named(Model{
		Maker:      "Sweda",
		USB:        []USB{{0x0525, 0xa4a2, LinkEthernet, true, GradeA}},
		Libraries:  []Library{dll(32, "SATDLL.dll"), so(0, "libSATDLL.so"), so(0, "libsatsweda.so")},
		Companions: []string{"SATSWEDA.INF", "iconv.dll", "libxml2.dll", "zlib1.dll", "msvcp100.dll", "msvcr100.dll"},
		Convention: Stdcall,
		Quirks: []string{
			"Aparece como placa de rede: o equipamento é 172.16.0.3/29 e o computador 172.16.0.2.",
			"Dois equipamentos com o mesmo endereço atrapalham um ao outro; o endereço pode ser mudado.",
			"O Base64 pode trazer quebras de linha.",
		},
		Grade:  GradeA,
		Source: "device-link 1.1 a 1.3; sat-interface 1.2, 1.3, 7",
	}, "SS-1000", "SS-2000")
}

func tanca() []Model {
	shared := Model{
		Maker:      "Tanca",
		USB:        []USB{gadgetSerial(GradeA)},
		Libraries:  []Library{dll(32, "SAT.dll"), dll(64, "SAT_x64.dll")},
		Companions: []string{"sat.ini", "TANCA_SAT.INF"},
		Convention: Stdcall,
		Quirks: []string{
			"Ocupado, responde com seis campos em vez de cinco, às vezes até ser desligado e ligado.",
			"A biblioteca do Windows abre janelas de aviso se NO_POPUP não for configurado.",
		},
		Grade:  GradeA,
		Source: "device-link 1.1, 1.3, 1.4; sat-interface 1.2 a 1.4, 7",
	}
	rows := named(shared, "TS-1000", "SDK-1000")
	for i := range rows {
		rows[i].Libraries = append(rows[i].Libraries, so(64, "libsat64.so"), so(0, "libsat.so"), so(0, "libsattanca.so"),
			so(64, "libsat_v2_0_0_1_x64.so"), so(64, "libsat_v3_0_0_3_x64.so"), so(32, "libsat_v3_0_0_3_x86.so"))
		rows[i].Quirks = append(rows[i].Quirks, "A biblioteca do Linux parece esperar a porta com o nome /dev/ttyTS0.")
	}
	jetway := named(shared, "JS-1000")
	jetway[0].Maker = "Jetway"
	jetway[0].USB = append(jetway[0].USB, USB{0x0525, 0xa4ab, LinkACM, true, GradeB})
	jetway[0].Companions = []string{"sat.ini"}
	jetway[0].Quirks = append([]string{"A SAT.dll é byte a byte a da Tanca."}, shared.Quirks...)
	jetway[0].Grade = GradeB
	return append(rows, jetway...)
}

func controlID() []Model {
	return named(Model{
		Maker: "Control iD",
		USB:   []USB{{0x1d6b, 0x0104, LinkACM, true, GradeA}},
		Libraries: []Library{dll(32, "libsatid.dll"), dll(64, "libsatid.dll"), dll(0, "libsatidlib.dll"),
			dll(32, "libsatid32.dll"), so(64, "libsatid.so"), so(0, "libsatidlib.so")},
		Convention: Cdecl,
		Free:       "DesalocarString",
		Quirks: []string{
			"Há também uma libsatid.dll stdcall de 32 bits: veja de que pasta (win32_stdcall) ela veio.",
			"A biblioteca precisa que cada texto lhe seja devolvido (DesalocarString).",
			"Não encontrando a porta, ela é dita à biblioteca por ConfigurarPortaSerial.",
		},
		Grade:  GradeA,
		Source: "device-link 1.1, 1.3, 1.4; sat-interface 1.2 a 1.4, 1.7",
	}, "S@T-iD")
}

func urano() []Model {
	return named(Model{
		Maker:      "Urano",
		USB:        []USB{{0x0403, 0, LinkFTDI, true, GradeC}},
		Libraries:  []Library{dll(32, "SAT.DLL"), dll(64, "SAT64.DLL")},
		Convention: Stdcall,
		Quirks: []string{
			"No Windows precisa do driver FTDI CDM 2.12.",
			"Balanças e cabos seriais mostram a mesma identidade.",
		},
		Grade:  GradeC,
		Source: "device-link 1.1, 1.3; sat-interface 1.3",
	}, "SAT UR")
}

func dimep() []Model {
	return named(Model{
		Maker:      "Dimep",
		USB:        []USB{gadgetSerial(GradeA)},
		Libraries:  []Library{dll(32, "dllsat.dll"), dll(0, "satdimep.dll"), so(0, "libsatprotocol.so")},
		Companions: []string{"zlib.dll", "satdimep.ini"},
		Sometimes:  []string{"discoverySAT.dll"},
		Convention: Stdcall,
		Quirks:     []string{"A biblioteca encontra a porta sozinha; AbreSerialSAT escolhe outra."},
		Grade:      GradeA,
		Source:     "device-link 1.1, 1.3, 1.4; sat-interface 1.2 a 1.4",
	}, "D-SAT", "D-SAT 2.0")
}

// gertec and Epson share a library.
func gertec() []Model {
	shared := Model{
		Maker:      "Gertec",
		Libraries:  []Library{dll(32, "GERSAT.dll"), so(0, "libsatger.so"), so(0, "libSatGer.so")},
		Companions: []string{"GerSat.conf", "libSatGer.conf"},
		Convention: Cdecl,
		Quirks: []string{
			"O nome da porta (COM) vai em GerSat.conf.",
			"Sem comunicação, a biblioteca responde um texto em inglês, sem campos.",
			"Vários programas esperam uns pelos outros até 3 s; depois a resposta é ocupado.",
		},
		Grade:  GradeA,
		Source: "device-link 1.1, 1.3; sat-interface 1.2, 1.3, 1.8, 6.5, 7",
	}
	epson := named(shared, "SAT-A10")
	epson[0].Maker = "Epson"
	epson[0].Libraries = []Library{dll(32, "GERSAT_x86.dll"), dll(64, "GERSAT_x64.dll"), dll(0, "SAT-A10.dll"), so(0, "libsatger.so")}
	epson[0].Companions = nil
	epson[0].Quirks = shared.Quirks[1:]
	return append(named(shared, "GerSAT", "GerSAT-W"), epson...)
}

// others are makers of one model each.
func others() []Model {
	return []Model{
		{
			Maker: "Kryptus", Name: "EasyS@T",
			Libraries:  []Library{dll(32, "SAT.dll"), dll(32, "SAT_DK_stdcall.dll")},
			Companions: []string{"libusb0.dll"}, Convention: Cdecl,
			Quirks: []string{"SAT_DK_stdcall.dll é stdcall, apesar de SAT.dll ser cdecl.", "As respostas podem trazer espaços e quebras de linha."},
			Grade:  GradeA, Source: "device-link 1.3; sat-interface 1.2, 1.3, 7",
		},
		{
			Maker: "Nitere", Name: "NSAT-4200", USB: []USB{gadgetSerial(GradeA)},
			Libraries:  []Library{dll(32, "dllsat.dll"), so(64, "libsatlinux64.so")},
			Companions: []string{"SYGMASAT.INI"}, Convention: Stdcall,
			Quirks: []string{"A biblioteca do Windows não tem ConsultarUltimaSessaoFiscal."},
			Grade:  GradeA, Source: "device-link 1.3; sat-interface 1.2, 1.3",
		},
		{
			Maker: "Daruma", Name: "DS-100i", USB: []USB{{0x23b8, 0x0004, LinkUnknown, false, GradeA}},
			Libraries: []Library{dll(32, "dllsat.dll"), dll(64, "dllsat64.dll"), dll(0, "DarumaSat.dll"),
				so(64, "libsat64.so"), so(0, "libsat_daruma.so")},
			Convention: Stdcall,
			Quirks:     []string{"A biblioteca do Windows não tem ConsultarUltimaSessaoFiscal.", "As mensagens vêm em Windows-1252."},
			Grade:      GradeA, Source: "device-link 1.3; sat-interface 1.2, 1.3, 1.6",
		},
		{
			Maker: "CS Devices", Name: "SATCR-A1",
			Libraries:  []Library{dll(32, "satcare.dll"), dll(0, "dllsat.dll")},
			Companions: []string{"Qt5Core.dll", "Qt5SerialPort.dll"}, Convention: Stdcall,
			Quirks: []string{"Não se conhece biblioteca para Linux."},
			Grade:  GradeA, Source: "device-link 1.3; sat-interface 1.2, 1.3",
		},
	}
}

func mfe() []Model {
	var rows []Model
	for _, maker := range []string{"Elgin", "Bematech", "Sweda"} {
		rows = append(rows, Model{
			Maker: maker, Name: "MFE",
			Libraries:  []Library{dll(32, "mfe.dll"), so(0, "libmfe.so")},
			Companions: []string{"Qt5Core.dll", "Qt5Network.dll", "libgcc_s_dw2-1.dll", "libstdc++-6.dll", "libwinpthread-1.dll"},
			Convention: Stdcall,
			Quirks: []string{
				"A biblioteca fala com o serviço do driver da SEFAZ-CE, que fala com o equipamento: instale o driver antes.",
				"Consultas de estado em excesso degradam o equipamento.",
			},
			Grade: GradeA, Source: "device-link 1.1, 1.3; sat-interface 1.2, 1.3, 1.5, 7",
		})
	}
	return rows
}
