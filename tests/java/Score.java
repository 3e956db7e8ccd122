import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Tensor;
import org.tensorflow.TensorFlow;
import org.tensorflow.ndarray.NdArrays;
import org.tensorflow.proto.Example;
import org.tensorflow.proto.Feature;
import org.tensorflow.proto.Features;
import org.tensorflow.proto.FloatList;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TString;

/**
 * Scores events with a pushed model, in both input forms.
 *
 * <p>Called as {@code java -cp 'jars/*' Score.java MODEL EVENTS.csv}, where the first line of the events has the names
 * of their features. Prints, a line for each event, the probability and the logit of the named floats, then those of
 * the serialized tf.Example.
 */
public class Score {
  public static void main(String[] arguments) throws IOException {
    List<String> lines = Files.readAllLines(Path.of(arguments[1]));
    String[] names = lines.get(0).split(",");
    float[][] events = lines.stream().skip(1).map(Score::parse).toArray(float[][]::new);
    System.err.println("TensorFlow " + TensorFlow.version());
    try (SavedModelBundle model = SavedModelBundle.load(arguments[0], "serve");
        Result named = model.function("serving_features").call(columns(names, events));
        Result parsed = model.function("serving_default").call(Map.of("examples", examples(names, events)))) {
      for (int event = 0; event < events.length; event++) {
        System.out.println(answer(named, event) + "," + answer(parsed, event));
      }
    }
  }

  private static float[] parse(String line) {
    String[] fields = line.split(",");
    float[] values = new float[fields.length];
    for (int i = 0; i < fields.length; i++) {
      values[i] = Float.parseFloat(fields[i]);
    }
    return values;
  }

  /** One tensor for each feature, of its values in all events. */
  private static Map<String, Tensor> columns(String[] names, float[][] events) {
    Map<String, Tensor> columns = new HashMap<>();
    for (int i = 0; i < names.length; i++) {
      float[] column = new float[events.length];
      for (int event = 0; event < events.length; event++) {
        column[event] = events[event][i];
      }
      columns.put(names[i], TFloat32.vectorOf(column));
    }
    return columns;
  }

  /** One tensor of a serialized tf.Example for each event. */
  private static Tensor examples(String[] names, float[][] events) {
    byte[][] examples = new byte[events.length][];
    for (int event = 0; event < events.length; event++) {
      Features.Builder features = Features.newBuilder();
      for (int i = 0; i < names.length; i++) {
        FloatList value = FloatList.newBuilder().addValue(events[event][i]).build();
        features.putFeature(names[i], Feature.newBuilder().setFloatList(value).build());
      }
      examples[event] = Example.newBuilder().setFeatures(features).build().toByteArray();
    }
    return TString.tensorOfBytes(NdArrays.vectorOfObjects(examples));
  }

  private static String answer(Result result, int event) {
    TFloat32 probability = (TFloat32) result.get("probability").orElseThrow();
    TFloat32 logit = (TFloat32) result.get("logit").orElseThrow();
    return probability.getFloat(event) + "," + logit.getFloat(event);
  }
}
