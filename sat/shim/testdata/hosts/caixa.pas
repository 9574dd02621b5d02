{ A POS program in Free Pascal, bound late and with PAnsiChar as Delphi programs
  are: caixa LIBRARY. It makes three calls, prints each reply and the library's
  version.

    fpc -ocaixa caixa.pas                      Linux
    fpc -Pi386 -Twin32 -ocaixa.exe caixa.pas   Windows, with a stdcall library }
program caixa;

{$mode delphi}{$H+}{$macro on}
{$ifdef WINDOWS}{$define ABI := stdcall}{$else}{$define ABI := cdecl}{$endif}

uses
  dynlibs;

type
  TConsultarSAT = function(numeroSessao: Integer): PAnsiChar; ABI;
  TEnviarDadosVenda = function(numeroSessao: Integer; codigo, dados: PAnsiChar): PAnsiChar; ABI;
  TTrocarCodigo = function(numeroSessao: Integer; codigo: PAnsiChar; opcao: Integer; novo, conf: PAnsiChar): PAnsiChar; ABI;
  TVersaoLib = function: PAnsiChar; ABI;

var
  lib: TLibHandle;
  venda: AnsiString;

function bind(const name: AnsiString): Pointer;
begin
  Result := GetProcedureAddress(lib, name);
  if Result = nil then
  begin
    WriteLn('no function ', name);
    Halt(1);
  end;
end;

begin
  lib := LoadLibrary(ParamStr(1));
  if lib = NilHandle then
  begin
    WriteLn('cannot load ', ParamStr(1));
    Halt(1);
  end;
  venda := '<CFe>p'#$E3'o</CFe>'; { as Windows stores it }
  WriteLn(TConsultarSAT(bind('ConsultarSAT'))(101341));
  WriteLn(TEnviarDadosVenda(bind('EnviarDadosVenda'))(123456, '12345678', PAnsiChar(venda)));
  WriteLn(TTrocarCodigo(bind('TrocarCodigoDeAtivacao'))(7, '12345678', 1, '87654321', nil));
  WriteLn(TVersaoLib(bind('VersaoLib'))());
  UnloadLibrary(lib);
end.
