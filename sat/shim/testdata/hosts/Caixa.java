import com.sun.jna.Library;
import com.sun.jna.Native;

/**
 * A POS program in Java, bound with JNA and in Windows-1252 as such programs are:
 *
 *   java -cp jna.jar testdata/hosts/Caixa.java LIBRARY
 *
 * It makes three calls, prints each reply and the library's version.
 */
public class Caixa {
  public interface SAT extends Library {
    String ConsultarSAT(int numeroSessao);

    String EnviarDadosVenda(int numeroSessao, String codigoDeAtivacao, String dadosVenda);

    String TrocarCodigoDeAtivacao(int numeroSessao, String codigoDeAtivacao, int opcao, String novoCodigo, String confNovoCodigo);

    String VersaoLib();
  }

  public static void main(String[] args) {
    System.setProperty("jna.encoding", "windows-1252");
    SAT sat = Native.load(args[0], SAT.class);
    System.out.println(sat.ConsultarSAT(101341));
    System.out.println(sat.EnviarDadosVenda(123456, "12345678", "<CFe>p\u00e3o</CFe>"));
    System.out.println(sat.TrocarCodigoDeAtivacao(7, "12345678", 1, "87654321", null));
    System.out.println(sat.VersaoLib());
  }
}
